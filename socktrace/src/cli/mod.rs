//! What was typed, and what it means.
//!
//! [`options`] knows the words and their order, [`plan`] turns them into one [`plan::Plan`] in
//! which nothing is left to interpret. Neither opens a socket nor prints a listing.

pub mod command;
pub mod doctor;
pub mod options;
pub mod plan;
pub mod trace;
