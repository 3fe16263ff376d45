//! Metrics over scored traces: success with intervals, pass@k, pass^k, validity.
