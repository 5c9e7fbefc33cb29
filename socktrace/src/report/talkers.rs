//! The connections that carried most. As many are kept as are wanted, however many there are.

use std::cmp::Reverse;

use crate::socket::{Cookie, Inet, InetEnd, Inode, State, TcpInfo};

/// A TCP connection and what it carried so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talker {
    pub state: State,
    pub local: InetEnd,
    pub peer: InetEnd,
    pub cookie: Cookie,
    pub inode: Inode,
    pub uid: u32,
    /// As the kernel counts: a SYN of ours is one of them.
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub total_retrans: u32,
    pub rtt_us: u32,
}

impl Talker {
    fn bytes(&self) -> u64 {
        self.bytes_acked.saturating_add(self.bytes_received)
    }
}

#[derive(Debug)]
pub struct Talkers {
    most: usize,
    kept: Vec<Talker>,
}

impl Talkers {
    pub fn new(most: usize) -> Talkers {
        Talkers { most, kept: Vec::new() }
    }

    pub fn add(&mut self, socket: &Inet<'_>) {
        let Some(info) = socket.ext.info.map(TcpInfo::parse) else { return };
        // Listeners reuse these fields for their queue. One byte is no more than the SYN.
        let carried = info.bytes_acked.saturating_add(info.bytes_received);
        if socket.state == State::Listen || carried <= 1 {
            return;
        }
        self.kept.push(Talker {
            state: socket.state,
            local: socket.local,
            peer: socket.peer,
            cookie: socket.cookie,
            inode: socket.inode,
            uid: socket.uid,
            bytes_acked: info.bytes_acked,
            bytes_received: info.bytes_received,
            total_retrans: info.total_retrans,
            rtt_us: info.rtt,
        });
        if self.kept.len() > self.most.saturating_mul(2) {
            self.keep_most();
        }
    }

    /// The one that carried most is first.
    pub fn into_most(mut self) -> Vec<Talker> {
        self.keep_most();
        self.kept
    }

    fn keep_most(&mut self) {
        self.kept.sort_by_key(|talker| (Reverse(talker.bytes()), talker.cookie));
        self.kept.truncate(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{Family, InetExt, Table, Timer};

    /// `struct tcp_info` with these two counters.
    fn info(acked: u64, received: u64) -> Vec<u8> {
        let mut info = vec![0; 136];
        info[120..128].copy_from_slice(&acked.to_ne_bytes());
        info[128..136].copy_from_slice(&received.to_ne_bytes());
        info
    }

    fn socket(cookie: u64, state: State, info: &[u8]) -> Inet<'_> {
        let end = InetEnd { addr: [127, 0, 0, 1].into(), port: 1 };
        Inet {
            table: Table::Tcp,
            family: Family::Inet,
            state,
            local: end,
            peer: end,
            ifindex: 0,
            cookie: Cookie(cookie),
            recv_queue: 0,
            send_queue: 0,
            uid: 0,
            inode: Inode(1),
            timer: Timer::default(),
            ext: InetExt { info: Some(info), ..InetExt::default() },
        }
    }

    #[test]
    fn the_largest_are_kept_in_whatever_order_they_come() {
        let mut talkers = Talkers::new(2);
        for (cookie, acked, received) in [
            (1, 5, 5),
            (2, 900, 0),
            (3, 0, 7),
            (4, 1, 800),
            (5, 20, 20),
            (6, u64::MAX, 9),
            (7, 3, 0),
        ] {
            talkers.add(&socket(cookie, State::Established, &info(acked, received)));
        }
        let cookies: Vec<_> = talkers.into_most().iter().map(|talker| talker.cookie.0).collect();
        assert_eq!(cookies, [6, 2]);
    }

    #[test]
    fn what_carried_nothing_is_left_out() {
        let mut talkers = Talkers::new(10);
        talkers.add(&socket(1, State::Established, &info(1, 0)));
        talkers.add(&socket(2, State::Listen, &info(100, 100)));
        talkers.add(&Inet { ext: InetExt::default(), ..socket(3, State::TimeWait, &[]) });
        assert_eq!(talkers.into_most(), []);
    }
}
