//! One look at every table that a rule asks for.

use std::time::Instant;

use anyhow::{Context, Result};

use super::tcp::TcpLook;
use crate::diag::ahead::each_inet;
use crate::diag::inet::Extensions;
use crate::diag::{DiagSocket, netlink, unix};
use crate::diagnose::evidence::{Datagram, NetlinkReceiver, Settings, UnixListener};
use crate::procfs::counters::Counters;
use crate::say::complain;
use crate::socket::{Inet, Socket, State, StateSet, Table, TableSet};

#[derive(Clone)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) tcp: TcpLook,
    pub(super) datagrams: Vec<Datagram>,
    pub(super) unix_listeners: Vec<UnixListener>,
    pub(super) netlink: Vec<NetlinkReceiver>,
    pub(super) counters: Counters,
}

impl Look {
    /// Looks at everything; counts relative to `before`, an earlier look.
    pub(super) fn take(settings: &Settings, before: Option<&Look>) -> Result<Look> {
        let mut look = Look {
            at: Instant::now(),
            tcp: TcpLook::new(before.map(|before| &before.tcp)),
            datagrams: Vec::new(),
            unix_listeners: Vec::new(),
            netlink: Vec::new(),
            counters: Counters::default(),
        };
        let (counters, problems) = Counters::read();
        look.counters = counters;
        problems.iter().for_each(|problem| complain(&problem.to_string()));

        let earlier = before.map(|before| &before.tcp);
        let tcp = &mut look.tcp;
        let listening = StateSet::of(&[State::Listen]);
        for states in [listening, StateSet::ALL.without(listening)] {
            inet(Table::Tcp, states, &mut |socket| tcp.add(socket, settings, earlier))
                .context("cannot list the TCP sockets")?;
        }
        let datagrams = &mut look.datagrams;
        let udp = inet(Table::Udp, StateSet::ALL, &mut |socket| datagrams.extend(datagram(socket)));
        note("UDP sockets", udp);
        note("UNIX sockets", look.unix());
        note("NETLINK sockets", look.netlink());
        Ok(look)
    }

    fn unix(&mut self) -> Result<()> {
        let request = unix::Request {
            tables: TableSet::of(&[Table::UnixStream, Table::UnixSeqpacket]),
            states: StateSet::of(&[State::Listen]),
            extensions: unix::Extensions::default(),
        };
        let end = request.dump(&mut DiagSocket::open()?, &mut |socket| {
            if let Socket::Unix(socket) = socket {
                self.unix_listeners.push(UnixListener {
                    name: socket.name.unwrap_or(b"(unnamed)").to_vec(),
                    inode: socket.inode,
                    waiting: socket.recv_queue,
                    backlog: socket.send_queue,
                    least_waiting: socket.recv_queue,
                });
            }
            Ok(())
        });
        Ok(end.map(drop)?)
    }

    fn netlink(&mut self) -> Result<()> {
        let end = netlink::dump(&mut DiagSocket::open()?, &mut |socket| {
            if let Socket::Netlink(socket) = socket
                && let Some(drops @ 1..) = socket.skmem.and_then(|memory| memory.drops)
                // The kernel lists sockets that follow a group a second time.
                && !self.netlink.iter().any(|known| {
                    (known.protocol, known.port_id) == (socket.protocol, socket.port_id)
                })
            {
                self.netlink.push(NetlinkReceiver {
                    protocol: socket.protocol,
                    port_id: socket.port_id,
                    inode: socket.inode,
                    recv_q: socket.recv_queue,
                    drops,
                    drops_before: None,
                });
            }
            Ok(())
        });
        Ok(end.map(drop)?)
    }
}

/// What a look has to do without is said, and does not end it.
fn note(what: &str, result: Result<()>) {
    if let Err(error) = result {
        complain(&format!("the {what} cannot be listed, so nothing is said of them: {error:#}"));
    }
}

fn inet(table: Table, states: StateSet, each: &mut dyn FnMut(&Inet<'_>)) -> Result<()> {
    each_inet(table, states, Extensions::MEMORY.union(Extensions::INFO), each)
}

fn datagram(socket: &Inet<'_>) -> Option<Datagram> {
    let memory = socket.ext.skmem?;
    Some(Datagram {
        local: socket.local,
        cookie: socket.cookie,
        inode: socket.inode,
        recv_q: socket.recv_queue,
        rcvbuf: memory.rcvbuf,
        drops: memory.drops.unwrap_or(0),
        drops_before: None,
    })
}
