//! What BPF programs keep with a socket, map by map.

use super::Printer;
use super::columns::Column;
use super::number::write_to;
use super::show::Layout;
use crate::bpfmap;
use crate::socket::BpfStorage;

impl Printer<'_, '_> {
    pub(super) fn bpf_storage(&mut self, storages: &[BpfStorage<'_>]) {
        let out = self.listing.field(Column::Ext);
        for BpfStorage { map_id, value } in storages {
            let layout = match self.show.layout {
                Layout::Lines => {
                    write_to(out, format_args!("\n\tmap_id:{map_id} [\n"));
                    bpfmap::Layout::Lines { indent: 2 }
                }
                Layout::OneLine => {
                    write_to(out, format_args!(" map_id:{map_id}"));
                    bpfmap::Layout::OneLine
                }
            };
            let start = out.len();
            if !self.value_types.write(*map_id, value, layout, out) {
                out.truncate(start);
                let indent = if self.show.layout == Layout::Lines { "\t\t" } else { " " };
                write_to(out, format_args!("{indent}failed to dump data: the type is not known"));
            }
            if self.show.layout == Layout::Lines {
                out.extend_from_slice(b"\n\t]");
            }
        }
    }
}
