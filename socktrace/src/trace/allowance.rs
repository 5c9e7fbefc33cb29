//! Whether the control groups of this process allow the memory that a trace takes. Where one of them
//! runs out, the kernel ends the process without a word, so there is a word before.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::plan::RingSize;
use crate::names::unescape_mount;

/// What a trace takes as it begins, besides its ring: the kernel's types, the maps, and what the
/// verifier works with.
const BESIDES_RING: u64 = 54 << 20;

/// What to say if less is allowed than a trace takes.
pub(super) fn shortage(ring: RingSize, proc_root: &Path) -> Option<String> {
    let (wanted, allowed) = (BESIDES_RING + u64::from(ring.bytes()), allowed(proc_root)?);
    (allowed < wanted).then(|| {
        format!(
            "the memory of this control group is limited to {} MB, and a trace takes {} as it \
             begins: the kernel may kill it",
            allowed >> 20,
            wanted >> 20
        )
    })
}

/// The lowest limit of the groups that this process is in.
fn allowed(proc_root: &Path) -> Option<u64> {
    let groups = fs::read(proc_root.join("self/cgroup")).ok()?;
    let mounts = fs::read(proc_root.join("self/mountinfo")).ok()?;
    lines(&mounts).filter_map(|mount| hierarchy(mount, &groups)).filter_map(lowest).min()
}

/// Where a hierarchy that counts memory is mounted, the group in it, and the file with its limit.
struct Hierarchy {
    mount_point: PathBuf,
    group: PathBuf,
    file: &'static str,
}

fn hierarchy(mount: &[u8], groups: &[u8]) -> Option<Hierarchy> {
    let mut words = mount.split(|byte| *byte == b' ');
    let root = unescape_mount(words.nth(3)?);
    let mount_point = unescape_mount(words.next()?);
    let mut words = words.skip_while(|word| *word != b"-").skip(1);
    let (file, is_its_group): (_, fn(&[u8]) -> bool) = match words.next()? {
        b"cgroup2" => ("memory.max", <[u8]>::is_empty),
        b"cgroup" if counts_memory(words.nth(1)?) => ("memory.limit_in_bytes", counts_memory),
        _ => return None,
    };
    let path = lines(groups).find_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b':').skip(1);
        is_its_group(parts.next()?).then(|| parts.next())?
    })?;
    // What is mounted may be a part of the hierarchy only.
    let below = Path::new(OsStr::from_bytes(path)).strip_prefix(OsStr::from_bytes(&root));
    let mount_point = PathBuf::from(OsStr::from_bytes(&mount_point));
    let group = mount_point.join(below.unwrap_or(Path::new("")));
    Some(Hierarchy { mount_point, group, file })
}

fn counts_memory(controllers: &[u8]) -> bool {
    controllers.split(|byte| *byte == b',').any(|controller| controller == b"memory")
}

fn lowest(Hierarchy { mount_point, group, file }: Hierarchy) -> Option<u64> {
    let groups = group.ancestors().take_while(|group| group.starts_with(&mount_point));
    groups.filter_map(|group| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()).min()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A /proc with these two files, and groups with these limits beside it.
    fn allowed_with(name: &str, mount: &str, groups: &str, limits: &[(&str, &str)]) -> Option<u64> {
        let root = std::env::temp_dir().join(format!("socktrace-{name}-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let at = root.display().to_string();
        write(
            "self/mountinfo",
            &format!("22 1 0:5 / /proc rw - proc proc rw\n{}\n", mount.replace("AT", &at)),
        );
        write("self/cgroup", groups);
        limits.iter().for_each(|(path, text)| write(path, text));
        let allowed = allowed(&root);
        fs::remove_dir_all(root).unwrap();
        allowed
    }

    #[test]
    fn the_lowest_limit_of_all_groups_around_counts() {
        let mount = "30 22 0:26 / AT/cg rw shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let limits =
            [("cg/a/b/memory.max", "max\n"), ("cg/a/memory.max", "4096\n"), ("memory.max", "1\n")];
        assert_eq!(allowed_with("v2", mount, "1:name=systemd:/x\n0::/a/b\n", &limits), Some(4096));
        assert_eq!(allowed_with("v2-none", mount, "0::/a/b\n", &limits[..1]), None);
    }

    #[test]
    fn a_hierarchy_of_its_own_for_memory_is_known() {
        let mount = "31 22 0:27 / AT/mem rw - cgroup cgroup rw,memory";
        let groups = "5:cpu,memory:/a\n0::/b\n";
        let limits = [("mem/a/memory.limit_in_bytes", "8192\n"), ("mem/b/memory.max", "1\n")];
        assert_eq!(allowed_with("v1", mount, groups, &limits), Some(8192));
    }

    #[test]
    fn where_only_a_part_is_mounted_paths_begin_there() {
        let mount = "32 22 0:26 /pod/c AT/c\\040g rw - cgroup2 cgroup2 rw";
        let limits = [("c g/in/memory.max", "77\n")];
        assert_eq!(allowed_with("part", mount, "0::/pod/c/in\n", &limits), Some(77));
        assert_eq!(allowed_with("else", mount, "0::/in\n", &[("c g/memory.max", "78")]), Some(78));
    }

    #[test]
    fn nothing_is_said_where_there_is_enough() {
        assert_eq!(shortage(RingSize::DEFAULT, Path::new("/nowhere")), None);
    }
}
