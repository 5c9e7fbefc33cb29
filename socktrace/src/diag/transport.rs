//! The sock_diag socket: one request, one buffer, a walk over the messages of the answer.

use std::io;
use std::os::fd::OwnedFd;

use netlink_packet_sock_diag::constants::{SOCK_DESTROY, SOCK_DIAG_BY_FAMILY};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::attrs::{align, array};

/// Asks with `struct inet_diag_req`, and is the type of the answers too.
const TCPDIAG_GETSOCK: u16 = 18;
/// The length of `struct nlmsghdr`.
pub const HEADER: usize = 16;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
/// The kernel fills at most 32 KB a read, however much it is offered.
const BUFFER: usize = 64 * 1024;

/// Why a dump could not be had, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    #[error("cannot open a sock_diag socket: {0}")]
    Open(io::Error),
    #[error("the kernel refused the request: {0}")]
    Refused(Errno),
    #[error("reading from the kernel failed: {0}")]
    Read(io::Error),
    #[error("the kernel's answer is damaged: {0}")]
    Damaged(&'static str),
    #[error(transparent)]
    Sink(#[from] anyhow::Error),
}

impl DiagError {
    /// Whether the kernel has no such table (its diag module is missing or the protocol unknown).
    pub fn is_missing_table(&self) -> bool {
        matches!(self, DiagError::Refused(Errno::NOENT | Errno::INVAL | Errno::PROTONOSUPPORT))
    }
}

/// How a dump that reached its end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum DumpEnd {
    Whole,
    /// The table changed under the dump in a way that the kernel noticed.
    Interrupted,
}

/// One message of an answer, with its header.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub payload: &'a [u8],
}

/// The messages in `bytes`; `Err` where a length lies, after the messages before it.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Result<Message<'_>, DiagError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = split(rest);
        rest = match &message {
            Some((_, after)) => after,
            None => &[],
        };
        Some(message.map(|(m, _)| m).ok_or(DiagError::Damaged("a message is cut short")))
    })
}

fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let header = bytes.first_chunk::<HEADER>()?;
    let len = u32::from_ne_bytes(array(header, 0)?) as usize;
    let message = Message {
        kind: u16::from_ne_bytes(array(header, 4)?),
        flags: u16::from_ne_bytes(array(header, 6)?),
        sequence: u32::from_ne_bytes(array(header, 8)?),
        payload: bytes.get(HEADER..len)?,
    };
    Some((message, bytes.get(align(len)..).unwrap_or_default()))
}

/// What a message means for the walk over an answer.
pub enum Part<'a> {
    Socket(&'a [u8]),
    Done,
    Skip,
}

impl<'a> Message<'a> {
    /// What failed, if it says that something did.
    pub fn errno(&self) -> Option<Errno> {
        let code = array(self.payload, 0).map(i32::from_ne_bytes)?;
        let is_failure = self.kind == NLMSG_ERROR && (-4095..0).contains(&code);
        is_failure.then(|| Errno::from_raw_os_error(-code))
    }

    /// Whether it ends an answer.
    pub fn is_last(&self) -> bool {
        matches!(self.kind, NLMSG_DONE | NLMSG_ERROR)
    }

    pub fn part(&self) -> Result<Part<'a>, DiagError> {
        match self.kind {
            SOCK_DIAG_BY_FAMILY | TCPDIAG_GETSOCK => Ok(Part::Socket(self.payload)),
            NLMSG_DONE | NLMSG_ERROR => match array(self.payload, 0).map(i32::from_ne_bytes) {
                Some(0) => Ok(Part::Done),
                None if self.kind == NLMSG_DONE => Ok(Part::Done),
                Some(code @ -4095..0) => Err(DiagError::Refused(Errno::from_raw_os_error(-code))),
                Some(_) => Err(DiagError::Damaged("an error message has no error number")),
                None => Err(DiagError::Damaged("an error message is cut short")),
            },
            NLMSG_NOOP => Ok(Part::Skip),
            _ => Ok(Part::Skip),
        }
    }
}

/// A walk over the reads of one dump.
pub struct Walk {
    sequence: u32,
    end: DumpEnd,
}

impl Walk {
    /// The walk over the answer to the first request of a socket.
    pub fn of_first_request() -> Walk {
        Walk { sequence: 1, end: DumpEnd::Whole }
    }

    /// Hands each socket message's payload in `bytes` to `each`; the end of the dump, if it is in
    /// there.
    pub fn read(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<Option<DumpEnd>, DiagError> {
        for message in messages(bytes) {
            let message = message?;
            if message.sequence != self.sequence {
                continue;
            }
            if message.flags & NLM_F_DUMP_INTR != 0 {
                self.end = DumpEnd::Interrupted;
            }
            match message.part()? {
                Part::Socket(payload) => each(payload)?,
                Part::Done => return Ok(Some(self.end)),
                Part::Skip => {}
            }
        }
        Ok(None)
    }
}

pub struct DiagSocket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl DiagSocket {
    pub fn open() -> Result<DiagSocket, DiagError> {
        DiagSocket::open_with_groups(0)
    }

    /// Opens a socket that also receives what the kernel sends to these multicast groups.
    pub fn open_with_groups(groups: u32) -> Result<DiagSocket, DiagError> {
        let open = || {
            let fd = rustix::net::socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                Some(netlink::SOCK_DIAG),
            )?;
            if groups != 0 {
                rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
            }
            Ok(fd)
        };
        let fd = open().map_err(|error: Errno| DiagError::Open(error.into()))?;
        Ok(DiagSocket { fd, buffer: Vec::with_capacity(BUFFER), sequence: 0 })
    }

    /// One that somebody else than the kernel answers.
    #[cfg(test)]
    pub(super) fn of(fd: OwnedFd) -> DiagSocket {
        DiagSocket { fd, buffer: Vec::new(), sequence: 0 }
    }

    /// Asks for a dump. Its answer is what [`DiagSocket::receive`] gives next, for the walk.
    pub fn begin(&mut self, request: &[u8]) -> Result<Walk, DiagError> {
        self.begin_as(SOCK_DIAG_BY_FAMILY, request)
    }

    /// As [`DiagSocket::begin`], with a request for both families of TCP.
    pub fn begin_both(&mut self, request: &[u8]) -> Result<Walk, DiagError> {
        self.begin_as(TCPDIAG_GETSOCK, request)
    }

    fn begin_as(&mut self, kind: u16, request: &[u8]) -> Result<Walk, DiagError> {
        self.send(kind, NLM_F_DUMP, request)?;
        Ok(Walk { sequence: self.sequence, end: DumpEnd::Whole })
    }

    /// Sends a dump request and hands each socket message's payload to `each`.
    pub fn dump(
        &mut self,
        request: &[u8],
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<DumpEnd, DiagError> {
        self.dump_raw(request, &mut |_| Ok(()), each)
    }

    /// As [`DiagSocket::dump`]; `raw` sees each read's bytes whole before they are walked.
    pub fn dump_raw(
        &mut self,
        request: &[u8],
        raw: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<DumpEnd, DiagError> {
        let mut walk = self.begin(request)?;
        loop {
            let bytes = self.receive()?;
            raw(bytes)?;
            if let Some(end) = walk.read(bytes, each)? {
                return Ok(end);
            }
        }
    }

    /// Asks the kernel to destroy the socket of `request`.
    pub fn destroy(&mut self, request: &[u8]) -> Result<(), DiagError> {
        self.send(SOCK_DESTROY, NLM_F_ACK, request)?;
        loop {
            let sequence = self.sequence;
            for message in messages(self.receive()?) {
                let message = message?;
                if message.sequence == sequence
                    && let Part::Done = message.part()?
                {
                    return Ok(());
                }
            }
        }
    }

    /// Waits for multicast messages and hands each socket message's payload to `each`, until the
    /// sink ends it with an error.
    pub fn follow(
        &mut self,
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<std::convert::Infallible, DiagError> {
        loop {
            for message in messages(self.receive()?) {
                if let Part::Socket(payload) = message?.part()? {
                    each(payload)?;
                }
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, request: &[u8]) -> Result<(), DiagError> {
        self.sequence = self.sequence.wrapping_add(1);
        let len = u32::try_from(HEADER + request.len())
            .map_err(|_| DiagError::Damaged("the request is too long"))?;
        let mut message = Vec::with_capacity(HEADER + request.len());
        message.extend_from_slice(&len.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&0u32.to_ne_bytes());
        message.extend_from_slice(request);
        rustix::net::send(&self.fd, &message, SendFlags::empty())
            .map_err(|error| DiagError::Read(error.into()))?;
        Ok(())
    }

    /// What the kernel says next.
    pub fn receive(&mut self) -> Result<&[u8], DiagError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let received = self.receive_after(&mut buffer);
        self.buffer = buffer;
        received.map(|()| &self.buffer[..])
    }

    /// The memory that was received into.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// As [`DiagSocket::receive`], behind what is in `buffer`.
    pub fn receive_after(&self, buffer: &mut Vec<u8>) -> Result<(), DiagError> {
        buffer.reserve(BUFFER);
        loop {
            match rustix::net::recv(&self.fd, spare_capacity(buffer), RecvFlags::TRUNC) {
                Ok((_, 0)) => return Err(DiagError::Damaged("it ended without a last message")),
                Ok((read, sent)) if sent > read => {
                    return Err(DiagError::Damaged("a message is larger than the buffer"));
                }
                Ok(_) => return Ok(()),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(DiagError::Read(error.into())),
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of the answer to the first request.
    pub(in crate::diag) fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&1u32.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    #[test]
    fn messages_are_walked_and_a_lie_ends_the_walk() {
        let mut bytes = message(SOCK_DIAG_BY_FAMILY, b"abc");
        bytes.extend(message(SOCK_DIAG_BY_FAMILY, b"defg"));
        let mut cut = bytes.clone();
        cut.truncate(bytes.len() - 1);
        assert_eq!(
            messages(&bytes).map(|m| m.unwrap().payload.to_vec()).collect::<Vec<_>>(),
            [b"abc".to_vec(), b"defg".to_vec()]
        );
        let walked: Vec<_> = messages(&cut).collect();
        assert!(walked[0].is_ok() && walked[1].is_err() && walked.len() == 2);
        assert!(messages(&[0; 16]).next().unwrap().is_err());
    }

    #[test]
    fn done_and_error_messages_carry_the_kernel_s_verdict() {
        let part = |kind, payload: &[u8]| {
            let bytes = message(kind, payload);
            let first = messages(&bytes).next().unwrap().unwrap();
            first.part().map(|p| matches!(p, Part::Done))
        };
        assert!(part(NLMSG_DONE, &0i32.to_ne_bytes()).unwrap());
        assert!(part(NLMSG_DONE, &[]).unwrap());
        assert!(part(NLMSG_ERROR, &0i32.to_ne_bytes()).unwrap());
        let missing = part(NLMSG_ERROR, &(-2i32).to_ne_bytes()).unwrap_err();
        assert!(missing.is_missing_table(), "{missing}");
        assert!(matches!(part(NLMSG_ERROR, &[1]), Err(DiagError::Damaged(_))));
        assert!(part(NLMSG_ERROR, &i32::MIN.to_ne_bytes()).is_err());
    }
}
