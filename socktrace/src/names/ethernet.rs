//! The Ethernet protocols that `ss` has names for.

use super::number;

const ALL: u16 = 0x0003;

/// Of several names for one number the first is shown.
const NAMES: &[(u16, &str)] = &[(ALL, "all"), (0x0800, "ip"), (0x0806, "arp"), (0x86dd, "ipv6")];

pub(super) fn name(protocol: u16, numeric: bool, out: &mut Vec<u8>) {
    if protocol == ALL {
        return out.push(b'*');
    }
    let name = NAMES.iter().find(|(known, _)| *known == protocol && !numeric);
    match name {
        Some((_, name)) => out.extend_from_slice(name.as_bytes()),
        None => {
            out.push(b'[');
            number(protocol, out);
            out.push(b']');
        }
    }
}

pub(super) fn number_of(name: &[u8]) -> Option<u16> {
    NAMES.iter().find(|(_, known)| known.as_bytes() == name).map(|(number, _)| *number)
}
