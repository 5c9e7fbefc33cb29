//! Interfaces that lead to other network namespaces: those whose peer or lower device is there. The
//! kernel gives such a namespace a number that counts in this one only, and no way into it.

use std::os::fd::{AsRawFd, OwnedFd};

use rustc_hash::FxHashMap;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::Namespace;
use crate::diag::attrs::{attributes, push, u32_of};
use crate::diag::transport::{HEADER, Message, messages};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_DONE: u16 = 3;
/// The lengths of `struct ifinfomsg`, and of `struct rtgenmsg` with its padding.
const LINK: usize = 16;
const GENERAL: usize = 4;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
const BUFFER: usize = 64 << 10;

/// How many interfaces of this namespace lead to one that is none of `known`.
pub fn leading_elsewhere(known: &[Namespace]) -> Result<usize, Errno> {
    let mut kernel = Kernel::open()?;
    let mut elsewhere = kernel.netns_of_links()?;
    for namespace in known {
        if elsewhere.is_empty() {
            break;
        }
        if let Some(file) = namespace.open()
            && let Some(number) = kernel.number_of(&file)?
        {
            elsewhere.remove(&number);
        }
    }
    Ok(elsewhere.values().sum())
}

struct Kernel {
    socket: OwnedFd,
    sequence: u32,
}

impl Kernel {
    fn open() -> Result<Kernel, Errno> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let flags = SocketFlags::CLOEXEC;
        // Of the protocols of netlink, that for links is 0.
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        Ok(Kernel { socket, sequence: 0 })
    }

    /// How many interfaces lead to which namespace.
    fn netns_of_links(&mut self) -> Result<FxHashMap<u32, usize>, Errno> {
        let mut body = vec![0; LINK];
        let is_short = push(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        debug_assert!(is_short, "an attribute of four bytes");
        let mut counts = FxHashMap::default();
        self.ask(RTM_GETLINK, NLM_F_DUMP, &body, &mut |message| {
            if message.kind == RTM_NEWLINK {
                let number = attribute(message, LINK, IFLA_LINK_NETNSID);
                number.into_iter().for_each(|number| *counts.entry(number).or_default() += 1);
            }
            message.kind == NLMSG_DONE
        })?;
        Ok(counts)
    }

    /// The number that a namespace has in this one, if it has any.
    fn number_of(&mut self, namespace: &OwnedFd) -> Result<Option<u32>, Errno> {
        let mut body = vec![0; GENERAL];
        let is_short = push(&mut body, NETNSA_FD, &namespace.as_raw_fd().to_ne_bytes());
        debug_assert!(is_short, "an attribute of four bytes");
        let mut number = None;
        self.ask(RTM_GETNSID, 0, &body, &mut |message| {
            if message.kind == RTM_NEWNSID {
                number = attribute(message, GENERAL, NETNSA_NSID);
            }
            true
        })?;
        Ok(number)
    }

    /// Sends a request, and hands over the messages of its answer until one is the last.
    fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        is_last: &mut dyn FnMut(&Message<'_>) -> bool,
    ) -> Result<(), Errno> {
        self.sequence += 1;
        let mut request = Vec::with_capacity(HEADER + body.len());
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::MSGSIZE)?;
        request.extend_from_slice(&length.to_ne_bytes());
        request.extend_from_slice(&kind.to_ne_bytes());
        request.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        request.extend_from_slice(&self.sequence.to_ne_bytes());
        request.extend_from_slice(&[0; 4]);
        request.extend_from_slice(body);
        rustix::net::send(&self.socket, &request, SendFlags::empty())?;
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            buffer.clear();
            rustix::net::recv(&self.socket, spare_capacity(&mut buffer), RecvFlags::empty())?;
            for message in messages(&buffer) {
                let message = message.map_err(|_| Errno::BADMSG)?;
                if message.sequence != self.sequence {
                    continue;
                }
                if let Some(errno) = message.errno() {
                    return Err(errno);
                }
                if is_last(&message) {
                    return Ok(());
                }
            }
        }
    }
}

/// An attribute of four bytes, behind a message's own fields; numbers that stand for none are left
/// out.
fn attribute(message: &Message<'_>, fields: usize, kind: u16) -> Option<u32> {
    let mut found = attributes(message.payload.get(fields..)?);
    let (_, payload) = found.find(|(known, _)| *known == kind)?;
    u32_of(payload).filter(|number| number.cast_signed() >= 0)
}
