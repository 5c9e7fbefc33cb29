//! What a trace remembers of sockets, in the maps of its programs.

use aya::maps::{Array, HashMap, Map, MapData, MapInfo};

use crate::process::Running;

/// Leaves no room for a socket that is not remembered yet: all places are claimed, and the map
/// beside them is full.
pub fn fill_memory(of: &Running) {
    let map = |name: &str| {
        let mut maps = of.objects().maps.into_iter();
        let is_it =
            |id: &u32| MapInfo::from_id(*id).expect("it is held").name_as_str() == Some(name);
        let id = maps.find(is_it).unwrap_or_else(|| panic!("there is no map {name}"));
        MapData::from_id(id).expect("the map is there")
    };
    let mut places: Array<_, [u64; 13]> = Map::Array(map("SOCKETS")).try_into().expect("places");
    for place in 0..places.len() {
        let mut claimed = places.get(&place, 0).expect("a place");
        claimed[0] += 1;
        places.set(place, claimed, 0).expect("a place can be claimed");
    }
    let mut others: HashMap<_, u64, [u64; 11]> =
        Map::HashMap(map("OTHER_SOCKETS")).try_into().expect("a map of memories");
    // Neither cookies nor addresses are like that.
    let keys = (1 << 62)..(1 << 62) + (2 << 20);
    let refused = keys.into_iter().find_map(|key| others.insert(key, [0; 11], 0).err());
    refused.expect("the map is full at some time");
}
