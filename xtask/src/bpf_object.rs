//! What is in a BPF object: programs, maps, relocations. An independent look at what the loader
//! will see.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::btf::{self, Btf, Relocation};

pub struct BpfObject {
    pub programs: Vec<Program>,
    pub maps: BTreeSet<String>,
    pub relocations: Vec<Relocation>,
}

pub struct Program {
    pub name: String,
    /// The hook, as `tp_btf/inet_sock_set_state`: there may be several for one.
    pub section: String,
    /// Where in the section it begins, in bytes.
    pub start: u32,
    pub code: Vec<u8>,
}

impl BpfObject {
    pub fn parse(bytes: &[u8]) -> Result<BpfObject> {
        let file = object::File::parse(bytes).context("not an ELF file")?;
        let section = |name: &str| -> Result<&[u8]> {
            let section = file.section_by_name(name).with_context(|| format!("no {name}"))?;
            Ok(section.data()?)
        };
        let btf = Btf::parse(section(".BTF")?)?;
        let relocations = btf::relocations(section(".BTF.ext")?, &btf)?;
        let mut programs = Vec::new();
        let mut maps = BTreeSet::new();
        for symbol in file.symbols().filter(|symbol| symbol.is_global()) {
            let Some(index) = symbol.section_index() else { continue };
            let section = file.section_by_index(index)?;
            let (name, holder) = (symbol.name()?.to_owned(), section.name()?.to_owned());
            match symbol.kind() {
                SymbolKind::Text if holder != ".text" => {
                    let start = usize::try_from(symbol.address())?;
                    let code = section.data()?.get(start..).context("a program lies elsewhere")?;
                    let code = code.get(..usize::try_from(symbol.size())?).unwrap_or(code).to_vec();
                    programs.push(Program { name, section: holder, start: start as u32, code });
                }
                SymbolKind::Data if holder == "maps" || holder == ".maps" => {
                    maps.insert(name);
                }
                _ => {}
            }
        }
        programs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(BpfObject { programs, maps, relocations })
    }

    pub fn program_names(&self) -> Vec<(&str, &str)> {
        self.programs.iter().map(|program| (&*program.name, &*program.section)).collect()
    }

    /// The kernel fields that are found at load time.
    pub fn fields(&self) -> BTreeSet<&str> {
        self.relocations.iter().map(|relocation| &*relocation.field).collect()
    }

    pub fn fields_by_program(&self) -> BTreeMap<&str, BTreeSet<(&str, u32)>> {
        let mut fields: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for Relocation { section, field, kind, .. } in &self.relocations {
            fields.entry(&**section).or_default().insert((&**field, *kind));
        }
        fields
    }
}
