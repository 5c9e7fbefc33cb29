//! What the namespace and the host are set to.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The sysctls that rules compare with. What a namespace does not have is `None`.
#[derive(Debug, Clone)]
pub struct Settings {
    pub local_ports: RangeInclusive<u16>,
    pub reserved_ports: Vec<RangeInclusive<u16>>,
    pub somaxconn: Option<u64>,
    pub tcp_max_syn_backlog: Option<u64>,
    pub tcp_syncookies: Option<u64>,
    pub tcp_tw_reuse: TwReuse,
    pub tcp_tw_reuse_delay: Duration,
    pub tcp_max_tw_buckets: Option<u64>,
}

/// What all namespaces share. Of TCP, only the first network namespace shows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostSettings {
    pub tcp_max_orphans: Option<u64>,
    /// Pages: below the first nothing is done, from the second on there is pressure, the third is
    /// the end.
    pub tcp_mem: Option<[u64; 3]>,
    /// Descriptors in use on the host, and how many there may be.
    pub files: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TwReuse {
    Off,
    Everywhere,
    #[default]
    Loopback,
}

impl Default for Settings {
    /// What the kernel has unless somebody changed it.
    fn default() -> Settings {
        Settings {
            local_ports: 32768..=60999,
            reserved_ports: Vec::new(),
            somaxconn: Some(4096),
            tcp_max_syn_backlog: Some(1024),
            tcp_syncookies: Some(1),
            tcp_tw_reuse: TwReuse::Loopback,
            tcp_tw_reuse_delay: Duration::from_secs(1),
            tcp_max_tw_buckets: None,
        }
    }
}

impl Settings {
    /// How many ports the kernel can choose from.
    pub fn ephemeral_ports(&self) -> u32 {
        let in_range = |port: &u16| self.local_ports.contains(port);
        let reserved: usize =
            self.reserved_ports.iter().map(|range| range.clone().filter(in_range).count()).sum();
        let all =
            u32::from(*self.local_ports.end()).saturating_sub((*self.local_ports.start()).into());
        (all + 1).saturating_sub(u32::try_from(reserved).unwrap_or(u32::MAX))
    }

    /// Whether the kernel takes ports in TIME-WAIT again for this destination.
    pub fn reuses_time_wait(&self, local: IpAddr, peer: IpAddr) -> bool {
        let is_loopback = |addr: IpAddr| addr.to_canonical().is_loopback();
        match self.tcp_tw_reuse {
            TwReuse::Off => false,
            TwReuse::Everywhere => true,
            TwReuse::Loopback => is_loopback(local) || is_loopback(peer),
        }
    }
}
