//! Episodes in bulk: groups over one batching sampler, failures classed, traces recorded.
