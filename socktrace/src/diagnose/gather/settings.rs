//! The sysctls that rules compare with.

use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::diagnose::evidence::{HostSettings, Settings, TwReuse};
use crate::procfs;

/// Reads them; what this namespace or kernel does not have keeps the kernel's default, or is not
/// known.
pub(super) fn read() -> Settings {
    let usual = Settings::default();
    Settings {
        local_ports: pair("net/ipv4/ip_local_port_range")
            .and_then(|(first, last)| Some(port(first)?..=port(last)?))
            .unwrap_or(usual.local_ports),
        reserved_ports: text("net/ipv4/ip_local_reserved_ports")
            .map(|text| ranges(&text))
            .unwrap_or_default(),
        somaxconn: number("net/core/somaxconn"),
        tcp_max_syn_backlog: number("net/ipv4/tcp_max_syn_backlog"),
        tcp_syncookies: number("net/ipv4/tcp_syncookies"),
        tcp_tw_reuse: match number("net/ipv4/tcp_tw_reuse") {
            Some(0) => TwReuse::Off,
            Some(1) => TwReuse::Everywhere,
            _ => TwReuse::Loopback,
        },
        tcp_tw_reuse_delay: number("net/ipv4/tcp_tw_reuse_delay")
            .map_or(usual.tcp_tw_reuse_delay, Duration::from_millis),
        tcp_max_tw_buckets: number("net/ipv4/tcp_max_tw_buckets"),
    }
}

/// Those of the host, as far as the namespace that this is in shows them.
pub fn of_the_host() -> HostSettings {
    HostSettings {
        tcp_max_orphans: number("net/ipv4/tcp_max_orphans"),
        tcp_mem: numbers("net/ipv4/tcp_mem").and_then(|numbers| numbers.try_into().ok()),
        files: numbers("fs/file-nr")
            .and_then(|numbers| Some((*numbers.first()?, *numbers.get(2)?))),
    }
}

fn text(name: &str) -> Option<String> {
    fs::read_to_string(procfs::root().join("sys").join(name)).ok()
}

fn numbers(name: &str) -> Option<Vec<u64>> {
    text(name)?.split_whitespace().map(|word| word.parse().ok()).collect()
}

fn number(name: &str) -> Option<u64> {
    numbers(name)?.first().copied()
}

fn pair(name: &str) -> Option<(u64, u64)> {
    match numbers(name)?[..] {
        [first, second] => Some((first, second)),
        _ => None,
    }
}

fn port(number: u64) -> Option<u16> {
    u16::try_from(number).ok()
}

/// `8080,9000-9010`.
fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    text.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_numbers_and_ranges() {
        assert_eq!(ranges("\n"), []);
        assert_eq!(ranges("8080,9000-9010\n"), [8080..=8080, 9000..=9010]);
    }

    #[test]
    fn reserved_ports_are_not_ephemeral() {
        let settings = Settings {
            local_ports: 1000..=1099,
            reserved_ports: vec![1090..=1200, 5..=7],
            ..Settings::default()
        };
        assert_eq!(settings.ephemeral_ports(), 90);
        assert_eq!(Settings::default().ephemeral_ports(), 28_232);
    }
}
