//! What the path of a cgroup says: container managers put the ids of their containers into it.

use super::Runtime;

/// A path taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Parts<'p> {
    pub(super) container: Option<Id<'p>>,
    /// As in the path: systemd has underscores in place of the dashes.
    pub(super) pod_uid: Option<&'p str>,
    /// The systemd unit, where there is no container.
    pub(super) unit: Option<&'p str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id<'p> {
    /// `None`: the path names a pod and an id, but not who runs it.
    pub(super) runtime: Option<Runtime>,
    pub(super) id: &'p str,
}

/// What stands before the id in the name of a systemd scope.
const SCOPES: [(&str, Runtime); 5] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::Crio),
    ("libpod-", Runtime::Podman),
];

/// What stands between the slice and the id where containerd makes cgroups without systemd, but
/// with names for it.
const COLON: &str = ":cri-containerd:";

/// Takes a path apart. Of containers inside containers, the innermost counts.
pub(super) fn parse(path: &str) -> Parts<'_> {
    let mut parts = Parts::default();
    let mut before = "";
    for component in path.split('/') {
        if let Some(uid) = pod_uid(component) {
            parts.pod_uid = Some(uid);
        }
        if let Some(id) = container(before, component, parts.pod_uid.is_some()) {
            parts.container = Some(id);
        }
        if is_unit(component) && parts.unit.is_none_or(is_user_manager) {
            parts.unit = Some(component);
        }
        before = component;
    }
    if parts.container.is_some() {
        parts.unit = None;
    }
    parts
}

fn container<'p>(before: &str, component: &'p str, in_pod: bool) -> Option<Id<'p>> {
    let found = |runtime, id| Some(Id { runtime, id });
    if let Some((_, id)) = component.split_once(COLON) {
        return is_id(id).then_some(Id { runtime: Some(Runtime::Containerd), id });
    }
    let name = component.strip_suffix(".scope").unwrap_or(component);
    for (prefix, runtime) in SCOPES {
        if let Some(id) = name.strip_prefix(prefix).filter(|id| is_id(id)) {
            return found(Some(runtime), id);
        }
    }
    if let Some(id) = component.strip_prefix("lxc.payload.") {
        return found(Some(Runtime::Lxc), id);
    }
    if let Some(machine) = component.strip_prefix("systemd-nspawn@") {
        return found(Some(Runtime::Nspawn), machine.strip_suffix(".service").unwrap_or(machine));
    }
    match before {
        "lxc" | "lxc.payload" if !component.is_empty() => found(Some(Runtime::Lxc), component),
        "docker" if is_id(component) => found(Some(Runtime::Docker), component),
        _ if in_pod && is_id(component) => found(None, component),
        _ => None,
    }
}

/// The uid in `podUID`, or at the end of `kubepods-burstable-podUID.slice`.
fn pod_uid(component: &str) -> Option<&str> {
    let component = component.split(COLON).next()?;
    let name = component.strip_suffix(".slice").unwrap_or(component);
    let uid = match name.rsplit_once("-pod") {
        Some((slice, uid)) if slice.contains("kubepods") => uid,
        _ => name.strip_prefix("pod")?,
    };
    // 32 digits, with separators or, for pods from files, without.
    let is_uid_byte = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_');
    (uid.len() >= 32 && uid.bytes().all(is_uid_byte)).then_some(uid)
}

fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_unit(component: &str) -> bool {
    [".service", ".scope", ".socket", ".mount"].iter().any(|kind| component.ends_with(kind))
}

/// Units of a user run below the manager of that user, which is a unit too.
fn is_user_manager(unit: &str) -> bool {
    unit.starts_with("user@")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "f1b3a2c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80";
    const B: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const POD: &str = "0b5bf0a4-6d2c-4a6b-9d3e-5a1f2c3d4e5f";

    /// The container, the pod's uid and the unit.
    type Owned = (Option<(Option<Runtime>, String)>, Option<String>, Option<String>);

    /// The parts of a path with `{A}`, `{B}`, `{POD}` and, with underscores, `{P_D}` in it.
    fn parts(path: &str) -> Owned {
        let path = path.replace("{A}", A).replace("{B}", B).replace("{POD}", POD);
        let path = path.replace("{P_D}", &POD.replace('-', "_"));
        let Parts { container, pod_uid, unit } = parse(&path);
        (
            container.map(|Id { runtime, id }| (runtime, id.to_owned())),
            pod_uid.map(str::to_owned),
            unit.map(str::to_owned),
        )
    }

    #[test]
    fn the_paths_of_container_managers_are_known() {
        use Runtime::{Containerd, Crio, Docker, Lxc, Nspawn, Podman};
        for (path, runtime, id, in_pod) in [
            ("/docker/{A}", Some(Docker), A, false),
            ("/system.slice/docker-{A}.scope", Some(Docker), A, false),
            ("/system.slice/docker-{A}.scope/init", Some(Docker), A, false),
            ("/docker/{A}/docker/{B}", Some(Docker), B, false),
            ("/system.slice/nerdctl-{A}.scope", Some(Containerd), A, false),
            ("/kubepods/besteffort/pod{POD}/{A}", None, A, true),
            ("/kubepods/pod{POD}/{A}", None, A, true),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{P_D}.slice/\
                 cri-containerd-{A}.scope",
                Some(Containerd),
                A,
                true,
            ),
            ("/kubepods.slice/kubepods-pod{P_D}.slice/crio-{A}.scope", Some(Crio), A, true),
            ("/kubepods.slice/kubepods-pod{P_D}.slice/docker-{A}.scope", Some(Docker), A, true),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                 kubelet-kubepods-besteffort-pod{P_D}.slice/cri-containerd-{A}.scope",
                Some(Containerd),
                A,
                true,
            ),
            (
                "/system.slice/containerd.service/kubepods-besteffort-pod{P_D}.slice:\
                 cri-containerd:{A}",
                Some(Containerd),
                A,
                true,
            ),
            ("/docker/{B}/kubelet/kubepods/besteffort/pod{POD}/{A}", None, A, true),
            ("/machine.slice/libpod-{A}.scope", Some(Podman), A, false),
            ("/machine.slice/libpod-{A}.scope/container", Some(Podman), A, false),
            ("/libpod_parent/libpod-{A}", Some(Podman), A, false),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope",
                Some(Podman),
                A,
                false,
            ),
            (
                "/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope",
                Some(Podman),
                A,
                false,
            ),
            ("/lxc/web", Some(Lxc), "web", false),
            ("/lxc.payload.web/system.slice/nginx.service", Some(Lxc), "web", false),
            ("/lxc.payload/web", Some(Lxc), "web", false),
            ("/machine.slice/systemd-nspawn@db.service/payload", Some(Nspawn), "db", false),
        ] {
            let (container, pod, unit) = parts(path);
            assert_eq!(container, Some((runtime, id.to_owned())), "{path}");
            assert_eq!(pod.is_some(), in_pod, "{path}");
            assert_eq!(unit, None, "{path}");
        }
    }

    #[test]
    fn what_is_no_container_may_be_a_unit() {
        for (path, unit) in [
            ("/", None),
            ("", None),
            ("/system.slice", None),
            ("/system.slice/nginx.service", Some("nginx.service")),
            ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
            ("/user.slice/user-0.slice/session-3.scope", Some("session-3.scope")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/firefox.service",
                Some("firefox.service"),
            ),
            ("/user.slice/user-1000.slice/user@1000.service/init.scope", Some("init.scope")),
            ("/system.slice/docker.service", Some("docker.service")),
            // The monitors of containers are outside of them.
            ("/machine.slice/libpod-conmon-{A}.scope", Some("libpod-conmon-{A}.scope")),
            ("/kubepods.slice/crio-conmon-{A}.scope", Some("crio-conmon-{A}.scope")),
            ("/lxc.monitor.web", None),
            ("/system.slice/docker-short.scope", Some("docker-short.scope")),
        ] {
            let unit = unit.map(|unit| unit.replace("{A}", A));
            assert_eq!(parts(path), (None, None, unit), "{path}");
        }
    }

    #[test]
    fn a_pod_is_known_by_its_uid() {
        assert_eq!(parts("/kubepods/besteffort/pod{POD}").1.as_deref(), Some(POD));
        assert_eq!(parts("/kubepods.slice/kubepods-pod{P_D}.slice").1, Some(POD.replace('-', "_")));
        let from_file = "/kubepods/pod0123456789abcdef0123456789abcdef";
        assert_eq!(parts(from_file).1.as_deref(), Some("0123456789abcdef0123456789abcdef"));
        assert_eq!(parts("/podman/x").1, None);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "[/.a-f0-9:@-]{0,120}|(/(docker|lxc|kubepods|pod|[a-f0-9]{64}|:cri-containerd:))*") {
            let _ = parse(&path);
        }
    }
}
