//! What was typed, and what it means.
//!
//! [`options`] knows the words and their order, [`plan`] turns them into one [`plan::Plan`] in
//! which nothing is left to interpret, with what [`select`] makes of tables, families and states.
//! None of them opens a socket or prints a listing.
//! [`command`] has a line per subcommand, and a file here for each.

pub mod audit;
pub mod command;
pub mod complete;
pub mod doctor;
mod duration;
pub mod life;
pub mod listen;
mod live;
pub mod manual;
pub mod options;
pub mod plan;
pub mod report;
pub mod retrans;
pub mod select;
pub mod states;
pub mod trace;
