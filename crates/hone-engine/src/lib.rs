//! The in-process neural engine: decoder-only transformers for sampling and training.
