//! Data flows one way: a source in the kernel delivers a typed [`socket`], a filter judges it, a
//! renderer prints it.

pub mod audit;
mod bpf;
pub mod bpfmap;
mod btf;
pub mod changes;
pub mod cli;
pub mod container;
pub mod counts;
pub mod diag;
pub mod diagnose;
pub mod doctor;
pub mod event;
pub mod filter;
pub mod iter;
mod kernel_version;
pub mod listeners;
pub mod live;
pub mod names;
pub mod netns;
pub mod owner;
pub mod privilege;
pub mod procfs;
pub mod render;
pub mod report;
pub mod say;
pub mod snapshot;
pub mod socket;
pub mod trace;
