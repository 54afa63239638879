"""First values of whole models: rules, recommendations, methods that use a batch."""
