//! Selection, advantages, objectives and the training loops.
