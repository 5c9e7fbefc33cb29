//! What the options mean.
