//! Agent loops: how a model, an environment and a task become an episode.
