//! What no listing that asks sock_diag can be faster than: the dumps of `-tan`, read and thrown
//! away.

use std::thread;

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const REQUEST_LEN: usize = 16 + 56;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const IPPROTO_TCP: u8 = 6;
/// As `-a` asks for.
const ALL_STATES: u32 = 0x3fff;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// The kernel fills at most half of it.
const BUFFER: usize = 64 << 10;

/// The child: both address families beside each other.
pub(crate) fn read_dumps() -> Result<()> {
    thread::scope(|scope| {
        let readers = [AddressFamily::INET, AddressFamily::INET6]
            .map(|family| scope.spawn(move || read_dump(family)));
        readers
            .into_iter()
            .try_for_each(|reader| reader.join().unwrap_or_else(|_| bail!("a reader panicked")))
    })
}

fn read_dump(family: AddressFamily) -> Result<()> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .context("cannot open a sock_diag socket")?;
    send(&socket, &request(family), SendFlags::empty()).context("cannot ask for a dump")?;
    let mut answer = Vec::with_capacity(BUFFER);
    while !has_end(&answer)? {
        answer.clear();
        recv(&socket, spare_capacity(&mut answer), RecvFlags::empty())
            .context("cannot read a dump")?;
    }
    Ok(())
}

fn request(family: AddressFamily) -> [u8; REQUEST_LEN] {
    let mut request = [0; REQUEST_LEN];
    request[..4].copy_from_slice(&(REQUEST_LEN as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    request[16..18].copy_from_slice(&[family.as_raw() as u8, IPPROTO_TCP]);
    request[20..24].copy_from_slice(&ALL_STATES.to_ne_bytes());
    request
}

/// Whether the message that ends a dump is in there.
fn has_end(answer: &[u8]) -> Result<bool> {
    let mut rest = answer;
    while let [a, b, c, d, e, f, ..] = *rest {
        let length = u32::from_ne_bytes([a, b, c, d]).next_multiple_of(4) as usize;
        match u16::from_ne_bytes([e, f]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => bail!("the kernel refuses a dump"),
            _ => {}
        }
        ensure!(length > 0, "a dump is damaged");
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(false)
}
