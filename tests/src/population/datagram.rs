//! UDP, UDP-Lite and RAW sockets.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use libc::{AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET};

use super::Holder;
use super::tcp::{address, bind, send, statement};
use crate::namespace::on_device;
use crate::sys::{attach, open, own_as, set};

pub(super) fn populate(holder: &mut Holder) -> io::Result<()> {
    udp(holder)?;
    raw(holder)
}

fn udp_at(at: &str) -> io::Result<OwnedFd> {
    let at = address(at);
    let socket = open(if at.is_ipv6() { AF_INET6 } else { AF_INET }, SOCK_DGRAM, 0)?;
    set(&socket, SOL_SOCKET, libc::SO_REUSEADDR, &1)?;
    if at.is_ipv6() && !at.ip().is_unspecified() {
        set(&socket, IPPROTO_IPV6, libc::IPV6_V6ONLY, &1)?;
    }
    bind(&socket, at)?;
    Ok(socket)
}

fn udp_between(from: &str, to: &str) -> io::Result<OwnedFd> {
    let socket = udp_at(from)?;
    rustix::net::connect(&socket, &address(to))?;
    Ok(socket)
}

fn udp(holder: &mut Holder) -> io::Result<()> {
    for at in ["0.0.0.0:53", "127.0.0.1:5353", "[::1]:123", "[::]:123", "0.0.0.0:67"] {
        holder.keep(udp_at(at)?);
    }
    holder.keep(udp_between("127.0.0.1:50400", "127.0.0.1:5353")?);
    holder.keep(udp_between("[::1]:50400", "[::1]:123")?);
    own_as(1000);
    holder.keep(udp_between("127.0.0.1:50401", "127.0.0.9:9")?);
    own_as(0);
    let mapped = open(AF_INET6, SOCK_DGRAM, 0)?;
    bind(&mapped, address("[::ffff:127.0.0.1]:50402"))?;
    rustix::net::connect(&mapped, &address("[::ffff:127.0.0.1]:53"))?;
    holder.keep(mapped);

    let v6only = open(AF_INET6, SOCK_DGRAM, 0)?;
    set(&v6only, IPPROTO_IPV6, libc::IPV6_V6ONLY, &1)?;
    bind(&v6only, address("[::]:546"))?;
    holder.keep(v6only);

    let device = open(AF_INET, SOCK_DGRAM, 0)?;
    on_device(&device, "lo")?;
    set(&device, SOL_SOCKET, libc::SO_MARK, &0xffff_ffffu32)?;
    set(&device, IPPROTO_IP, libc::IP_TOS, &0xe0)?;
    bind(&device, address("0.0.0.0:68"))?;
    holder.keep(device);

    let multicast = udp_at("224.0.0.251:5353")?;
    let group = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: Ipv4Addr::new(224, 0, 0, 251).to_bits().to_be() },
        imr_address: libc::in_addr { s_addr: Ipv4Addr::LOCALHOST.to_bits().to_be() },
        imr_ifindex: 0,
    };
    set(&multicast, IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &group)?;
    set(&multicast, IPPROTO_IP, libc::IP_MULTICAST_LOOP, &0)?;
    set(&multicast, IPPROTO_IP, libc::IP_MULTICAST_ALL, &0)?;
    holder.keep(multicast);

    // Datagrams that nobody reads, more of them than there is room for.
    let full = udp_at("127.0.0.1:50403")?;
    set(&full, SOL_SOCKET, libc::SO_RCVBUF, &4096)?;
    let sender = udp_between("127.0.0.1:50404", "127.0.0.1:50403")?;
    for _ in 0..10 {
        send(&sender, 700)?;
    }
    holder.keep_pair((full, sender));

    let corked = udp_between("127.0.0.1:50405", "127.0.0.1:53")?;
    set(&corked, libc::IPPROTO_UDP, libc::UDP_CORK, &1)?;
    send(&corked, 100)?;
    holder.keep(corked);
    let lite = open(AF_INET, SOCK_DGRAM, libc::IPPROTO_UDPLITE).and_then(|lite| {
        bind(&lite, address("127.0.0.1:50406"))?;
        holder.keep(lite);
        Ok(())
    });
    holder.unless_lacking("UDP-Lite", lite);
    Ok(())
}

fn raw(holder: &mut Holder) -> io::Result<()> {
    let drop_all = [statement(libc::BPF_RET | libc::BPF_K, 0)];
    let mut keep = |domain, protocol, at: Option<&str>, to: Option<&str>| -> io::Result<()> {
        let socket = open(domain, SOCK_RAW, protocol)?;
        // What the interfaces say to each other must not fill the queues.
        attach(&socket, &drop_all)?;
        if let Some(at) = at {
            bind(&socket, address(at))?;
        }
        if let Some(to) = to {
            rustix::net::connect(&socket, &address(to))?;
        }
        holder.keep(socket);
        Ok(())
    };
    keep(AF_INET, libc::IPPROTO_ICMP, None, None)?;
    keep(AF_INET, libc::IPPROTO_ICMP, Some("127.0.0.1:0"), Some("127.0.0.1:0"))?;
    keep(AF_INET, libc::IPPROTO_RAW, None, None)?;
    keep(AF_INET, 89, Some("127.0.0.1:0"), None)?;
    keep(AF_INET, 132, None, Some("127.0.0.2:0"))?;
    keep(AF_INET6, libc::IPPROTO_ICMPV6, None, None)?;
    keep(AF_INET6, libc::IPPROTO_ICMPV6, Some("[::1]:0"), Some("[::1]:0"))?;
    keep(AF_INET6, libc::IPPROTO_RAW, None, None)?;
    keep(AF_INET6, 99, Some("[::1]:0"), None)?;
    let device = open(AF_INET, SOCK_RAW, 47)?;
    on_device(&device, "lo")?;
    set(&device, SOL_SOCKET, libc::SO_MARK, &7)?;
    holder.keep(device);
    let headers = open(AF_INET, SOCK_RAW, 103)?;
    set(&headers, IPPROTO_IP, libc::IP_HDRINCL, &1)?;
    set(&headers, IPPROTO_IP, libc::IP_NODEFRAG, &1)?;
    holder.keep(headers);
    Ok(())
}
