//! What stands on the page, typed.

use jiff::Timestamp;

use super::talkers::Talker;
use crate::audit::Audited;
use crate::counts::Counts;
use crate::diagnose::rule::Rule;
use crate::listeners::Service;
use crate::netns;
use crate::procfs::summary::Summary;
use crate::render::known::Known;
use crate::socket::NetnsId;

pub struct Page<'a> {
    pub host: Host,
    pub summary: Summary,
    /// By netid and state.
    pub states: Counts<'a>,
    pub services: Vec<Service>,
    /// The one that carried most is first.
    pub talkers: Vec<Talker>,
    pub audited: Audited,
    /// By which the findings were judged.
    pub rules: Vec<&'static Rule>,
    /// What is missing, that of the findings included.
    pub unseen: Vec<String>,
    pub known: Known<'a>,
}

/// Where, when and as whom the page was made.
#[derive(Debug, Clone)]
pub struct Host {
    pub name: Vec<u8>,
    pub kernel: Vec<u8>,
    pub time_unix_us: i64,
    pub netns: Option<NetnsId>,
    /// Whose eyes it was seen with.
    pub uid: u32,
}

impl Host {
    pub fn this() -> Host {
        let uname = rustix::system::uname();
        let words = [uname.sysname(), uname.release(), uname.machine()];
        Host {
            name: uname.nodename().to_bytes().to_vec(),
            kernel: words.map(|word| word.to_bytes()).join(&b' '),
            time_unix_us: Timestamp::now().as_microsecond(),
            netns: netns::current(),
            uid: rustix::process::geteuid().as_raw(),
        }
    }
}
