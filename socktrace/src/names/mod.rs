//! Numbers to names and back.

use std::net::IpAddr;

use crate::render::number::unsigned;
use crate::socket::Table;

#[derive(Debug, Default)]
pub struct Names {}

impl Names {
    pub fn host(&mut self, out: &mut Vec<u8>, addr: &IpAddr) {
        match addr {
            IpAddr::V4(v4) => crate::render::address::ipv4(out, v4),
            IpAddr::V6(v6) => {
                out.push(b'[');
                crate::render::address::ipv6(out, v6);
                out.push(b']');
            }
        }
    }

    pub fn port(&mut self, out: &mut Vec<u8>, _table: Table, port: u16) {
        if port == 0 {
            out.push(b'*');
        } else {
            unsigned(out, port.into());
        }
    }

    pub fn interface(&mut self, out: &mut Vec<u8>, index: u32) {
        unsigned(out, index.into());
    }

    pub fn cgroup(&mut self, out: &mut Vec<u8>, id: u64) {
        unsigned(out, id);
    }
}
