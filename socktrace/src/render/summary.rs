//! The counts of `ss -s`.

use super::number::{unsigned, write_to};
use crate::procfs::summary::{Counts, Summary};

pub fn summary(out: &mut Vec<u8>, summary: &Summary) {
    let Summary { sockets, tcp, v4, v6 } = summary;
    out.extend_from_slice(b"Total: ");
    unsigned(out, (*sockets).into());
    write_to(
        out,
        format_args!(
            "\nTCP:   {} (estab {}, closed {}, orphaned {}, timewait {})\n\n",
            summary.tcp_total(),
            tcp.established,
            summary.tcp_closed(),
            tcp.orphaned,
            tcp.time_wait,
        ),
    );
    out.extend_from_slice(b"Transport Total     IP        IPv6\n");
    row(out, "RAW", v4.raw.into(), v6.raw.into());
    row(out, "UDP", v4.udp.into(), v6.udp.into());
    row(out, "TCP", v4.tcp.into(), v6.tcp.into());
    row(out, "INET", inet(v4), inet(v6));
    row(out, "FRAG", v4.fragments.into(), v6.fragments.into());
    out.push(b'\n');
}

fn inet(counts: &Counts) -> u64 {
    u64::from(counts.raw) + u64::from(counts.udp) + u64::from(counts.tcp)
}

fn row(out: &mut Vec<u8>, name: &str, v4: u64, v6: u64) {
    write_to(out, format_args!("{name}\t  {:<9} {v4:<9} {v6:<9}\n", v4 + v6));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::summary::TcpCounts;

    #[test]
    fn the_counts_are_laid_out_as_ss_does() {
        let mut out = Vec::new();
        summary(
            &mut out,
            &Summary {
                sockets: 9400,
                tcp: TcpCounts { allocated: 250, established: 55_555, orphaned: 7, time_wait: 33 },
                v4: Counts { raw: 5, udp: 2, tcp: 180, fragments: 3 },
                v6: Counts { raw: 3, udp: 2, tcp: 30, fragments: 2 },
            },
        );
        // As ss 7.3 printed it for files with these numbers.
        let expected = "Total: 9400\n\
            TCP:   283 (estab 55555, closed 73, orphaned 7, timewait 33)\n\n\
            Transport Total     IP        IPv6\n\
            RAW\t  8         5         3        \n\
            UDP\t  4         2         2        \n\
            TCP\t  210       180       30       \n\
            INET\t  222       187       35       \n\
            FRAG\t  5         3         2        \n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
