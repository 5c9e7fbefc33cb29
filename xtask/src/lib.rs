//! The parts of `cargo xtask` that tests use too: an independent reader of BPF objects.

pub mod bpf_object;
pub mod btf;
pub mod scan;
