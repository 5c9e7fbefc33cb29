//! The eBPF programs: what happens to TCP sockets.
//!
//! [`kernel`], [`skb`] and [`task`] read the kernel, [`owner`] decides whom a socket belongs to,
//! [`memory`] keeps that for as long as the socket lives, [`ring`] delivers; a file per kind of
//! event. What an event means to a person is decided in userspace.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod accept;
mod cookie;
mod kernel;
mod life;
mod listener;
mod memory;
mod owner;
mod probe;
mod reset;
mod retransmit;
mod ring;
mod seed;
mod skb;
mod task;
mod transition;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}

/// The helpers used are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
