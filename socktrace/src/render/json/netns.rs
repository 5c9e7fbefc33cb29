//! The network namespace of something.

use super::write::Object;
use crate::netns::Place;

pub fn netns(object: &mut Object<'_>, place: &Place) {
    object.known("netns", place.id.map(|id| id.0));
    if let Some(name) = &place.name {
        object.bytes("netns_name", name);
    }
}
