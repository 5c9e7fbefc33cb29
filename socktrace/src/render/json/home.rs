//! Where a socket or a process is at home.

use super::write::Object;
use crate::container::Home;

/// `container`, `pod` and `unit`, each where there is one.
pub fn home(object: &mut Object<'_>, home: &Home) {
    if let Some(container) = &home.container {
        let mut object = object.object("container");
        object.known("runtime", container.runtime.map(|runtime| runtime.name()));
        object.bytes("id", container.id.as_bytes());
        text(&mut object, "name", container.name.as_deref());
        text(&mut object, "image", container.image.as_deref());
    }
    if let Some(pod) = &home.pod {
        let mut object = object.object("pod");
        text(&mut object, "uid", pod.uid.as_deref());
        text(&mut object, "name", pod.name.as_deref());
        text(&mut object, "namespace", pod.namespace.as_deref());
    }
    text(object, "unit", home.unit.as_deref());
}

fn text(object: &mut Object<'_>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        object.bytes(key, text.as_bytes());
    }
}
