//! A store generated from a seed: customers, orders, policies, and the tools to serve them.
