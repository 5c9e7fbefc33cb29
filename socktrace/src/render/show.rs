//! What a listing shows, and how.

use super::number::RateStyle;
use super::tcp::InfoStyle;
use crate::owner::Contexts;

/// What a listing shows of each socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Show {
    pub header: Header,
    pub queues: Queues,
    pub layout: Layout,
    pub numbers: NumberStyle,
    pub timer: bool,
    pub details: bool,
    pub memory: bool,
    pub info: bool,
    pub tipc_info: bool,
    pub tos: bool,
    pub cgroup: bool,
    pub sockopt: bool,
    pub bpf_filter: bool,
    pub holders: Holders,
    /// The pids of holders inside their own namespaces.
    pub inner_pids: bool,
    /// The container or unit of a socket.
    pub container: bool,
    /// Which SELinux contexts are shown.
    pub contexts: Contexts,
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $default:ident, $($other:ident),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub enum $name { #[default] $default, $($other),+ }
    };
}
choice!(Header { Shown, Hidden });
choice!(Queues { Shown, Hidden });
choice!(
    /// Whether the details of a socket may stand on lines of their own.
    Layout { Lines, OneLine }
);
choice!(NumberStyle { Names, Numeric });
choice!(
    /// Who holds a socket: nobody asked, the processes, or their threads too.
    Holders { Hidden, Processes, Threads }
);
impl Show {
    /// Whether a row has more than states, queues and addresses.
    pub fn has_details(&self) -> bool {
        let Show { header, queues, layout, numbers, .. } = *self;
        *self != Show { header, queues, layout, numbers, ..Show::default() }
    }

    pub fn info_style(&self) -> InfoStyle {
        InfoStyle {
            rates: match self.numbers {
                NumberStyle::Names => RateStyle::Human,
                NumberStyle::Numeric => RateStyle::Exact,
            },
            option_words: self.timer,
        }
    }
}

impl Layout {
    /// What separates a detail that may stand on a line of its own from what is before it.
    pub fn line_break(self) -> &'static [u8] {
        match self {
            Layout::Lines => b"\n\t",
            Layout::OneLine => b" ",
        }
    }
}
