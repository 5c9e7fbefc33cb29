//! `users:(("name",pid=1,fd=3))`: the holders of a socket.

use super::escape;
use super::number::unsigned;
use crate::container::Homes;
use crate::owner::Holder;
use crate::socket::PastOwner;

/// How a holder is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HolderStyle {
    #[default]
    Process,
    Thread,
}

/// Appends the holders; nothing where there are none. Contexts are written where they are known.
/// With `inside`, so is the pid that a process has in its own namespace.
pub fn users<'a>(
    out: &mut Vec<u8>,
    holders: impl Iterator<Item = Holder<'a>>,
    style: HolderStyle,
    inside: Option<&Homes>,
) {
    let start = out.len();
    for holder in holders {
        out.extend_from_slice(if out.len() == start { b" users:((\"" } else { b",(\"" });
        escape::process_name(out, holder.comm);
        out.extend_from_slice(b"\",pid=");
        unsigned(out, holder.pid.into());
        if let Some(pid) = inside.and_then(|homes| homes.inner_pid(holder.pid)) {
            out.extend_from_slice(b",nspid=");
            unsigned(out, pid.into());
        }
        if style == HolderStyle::Thread {
            out.extend_from_slice(b",tid=");
            unsigned(out, holder.tid.into());
        }
        if let Some(context) = holder.process_context {
            out.extend_from_slice(b",proc_ctx=");
            out.extend_from_slice(context);
        }
        out.extend_from_slice(b",fd=");
        unsigned(out, holder.fd.into());
        if let Some(context) = holder.socket_context {
            out.extend_from_slice(b",sock_ctx=");
            out.extend_from_slice(context);
        }
        out.push(b')');
    }
    if out.len() > start {
        out.push(b')');
    }
}

/// Appends who held a socket that is no more.
pub fn past(out: &mut Vec<u8>, owner: PastOwner<'_>) {
    out.extend_from_slice(b" users:((\"");
    escape::process_name(out, owner.comm);
    out.extend_from_slice(b"\",pid=");
    unsigned(out, owner.pid.into());
    out.extend_from_slice(b"))");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(holders: &[Holder<'_>], style: HolderStyle) -> String {
        let mut out = b"before".to_vec();
        users(&mut out, holders.iter().copied(), style, None);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_past_holder_has_no_descriptor() {
        let mut out = Vec::new();
        past(&mut out, PastOwner { pid: 7, uid: 0, comm: b"a\"b" });
        assert_eq!(String::from_utf8(out).unwrap(), " users:((\"a\"b\",pid=7))");
    }

    const PLAIN: Holder<'static> = Holder {
        pid: 1,
        tid: 2,
        fd: 3,
        comm: b"name",
        process_context: None,
        socket_context: None,
    };

    #[test]
    fn holders_are_written_as_ss_writes_them() {
        assert_eq!(text(&[], HolderStyle::Process), "before");
        assert_eq!(
            text(&[PLAIN, Holder { fd: 4, ..PLAIN }], HolderStyle::Process),
            "before users:((\"name\",pid=1,fd=3),(\"name\",pid=1,fd=4))"
        );
        assert_eq!(
            text(&[PLAIN], HolderStyle::Thread),
            "before users:((\"name\",pid=1,tid=2,fd=3))"
        );
        let labelled = Holder { process_context: Some(b"p"), socket_context: Some(b"s"), ..PLAIN };
        assert_eq!(
            text(&[labelled], HolderStyle::Process),
            "before users:((\"name\",pid=1,proc_ctx=p,fd=3,sock_ctx=s))"
        );
    }
}
