//! IP addresses as inet_ntop prints them. (The standard library prints `::1.2.3.4` in hexadecimal.)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::number::{hex, shortened};

/// The bare address.
pub fn ip(out: &mut Vec<u8>, addr: &IpAddr) {
    match addr {
        IpAddr::V4(v4) => ipv4(out, v4),
        IpAddr::V6(v6) => ipv6(out, v6),
    }
}

pub fn ipv4(out: &mut Vec<u8>, addr: &Ipv4Addr) {
    let (text, length) = ipv4_text(addr);
    shortened(out, text, length);
}

/// An address with blanks behind it, and how long it is without them.
#[inline]
pub fn ipv4_text(addr: &Ipv4Addr) -> ([u8; 16], usize) {
    let (mut text, mut length) = ([b' '; 16], 0);
    for (octet, more) in octets(addr) {
        text[length..length + 4].copy_from_slice(&octet);
        length += more;
    }
    (text, length)
}

/// The parts of an address: beginnings of texts, and how long they are.
#[inline]
fn octets(addr: &Ipv4Addr) -> [([u8; 4], usize); 4] {
    let mut parts = addr.octets().map(|octet| {
        let (text, length) = OCTETS[usize::from(octet)];
        (text, usize::from(length))
    });
    let ([_, a, b, c], length) = parts[0];
    parts[0] = ([a, b, c, b' '], length - 1);
    parts
}

/// Each octet with a dot in front, and the length of both.
static OCTETS: [([u8; 4], u8); 256] = all_octets();

const fn all_octets() -> [([u8; 4], u8); 256] {
    let mut all = [(*b".   ", 1); 256];
    let mut octet = 0;
    while octet < all.len() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let mut skipped = if octet > 99 {
            0
        } else if octet > 9 {
            1
        } else {
            2
        };
        let (text, length) = &mut all[octet];
        while skipped < digits.len() {
            text[*length as usize] = b'0' + digits[skipped] as u8;
            *length += 1;
            skipped += 1;
        }
        octet += 1;
    }
    all
}

pub fn ipv6(out: &mut Vec<u8>, addr: &Ipv6Addr) {
    let words = addr.segments();
    let (start, len) = longest_zeros(&words);
    let end = start + len;
    let mut i = 0;
    while i < words.len() {
        if len > 1 && i == start {
            out.extend_from_slice(b"::");
            i = end;
            continue;
        }
        if i > 0 && i != end {
            out.push(b':');
        }
        if i == 6 && start == 0 && (len == 6 || len == 5 && words[5] == 0xffff) {
            let [.., a, b, c, d] = addr.octets();
            ipv4(out, &Ipv4Addr::new(a, b, c, d));
            return;
        }
        hex(out, words[i].into());
        i += 1;
    }
}

/// The first of the longest runs of zero words, as (start, length); a run of one does not count.
fn longest_zeros(words: &[u16; 8]) -> (usize, usize) {
    let mut best = (8, 0);
    let mut run = 0;
    for (i, word) in words.iter().enumerate() {
        run = if *word == 0 { run + 1 } else { 0 };
        if run > 1 && run > best.1 {
            best = (i + 1 - run, run);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(addr: &str) -> String {
        let mut out = Vec::new();
        ip(&mut out, &addr.parse().unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_are_those_of_inet_ntop() {
        for (addr, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::", "::"),
            ("::1", "::1"),
            ("::1:2", "::0.1.0.2"),
            ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
            ("::ffff:0:0", "::ffff:0.0.0.0"),
            ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
            ("2001:0:0:1:0:0:2:3", "2001::1:0:0:2:3"),
            ("fe80::", "fe80::"),
            ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
            ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ] {
            assert_eq!(text(addr), expected);
        }
    }

    proptest! {
        #[test]
        fn an_address_reads_back(words in proptest::array::uniform8(prop_oneof![Just(0u16), any::<u16>()])) {
            let addr = IpAddr::from(Ipv6Addr::from(words));
            let mut out = Vec::new();
            ip(&mut out, &addr);
            let back: IpAddr = std::str::from_utf8(&out).unwrap().parse().unwrap();
            prop_assert_eq!(back, addr);
        }
    }
}
