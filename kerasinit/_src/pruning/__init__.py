"""TensorFlow's pruning API, for Keras 3 and tf_keras."""
