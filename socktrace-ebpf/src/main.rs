//! The eBPF programs: what happens to TCP sockets, one record per event.
//!
//! [`kernel`] reads the kernel, [`owner`] decides whom a socket belongs to, [`ring`] delivers; a
//! file per hook. What an event means to a person is decided in userspace.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod kernel;
mod memory;
mod owner;
mod record;
mod retransmit;
mod ring;
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
