"""The pruning API of TensorFlow, for Keras 3 and tf_keras."""
