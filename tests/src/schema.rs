//! A validator for the part of JSON Schema that `docs/schema.json` uses. A keyword that it does not
//! know is an error, so that the file does not outgrow it unseen.

use serde_json::{Map, Value};

pub struct Schema(Value);

impl Schema {
    /// The schema of what socktrace prints.
    pub fn of_socktrace() -> Schema {
        let text = include_str!("../../docs/schema.json");
        Schema(serde_json::from_str(text).expect("docs/schema.json is JSON"))
    }

    /// Fails with every place at which `value` is not what the definition says.
    pub fn check(&self, definition: &str, value: &Value) {
        let mut faults = Vec::new();
        self.validate(&self.0["$defs"][definition], value, definition, &mut faults);
        assert!(faults.is_empty(), "{faults:#?}\nin {value:#}");
    }

    /// Checks an object by the keys that tell them apart.
    pub fn check_entry(&self, value: &Value) {
        match value.get("event").and_then(Value::as_str) {
            Some(event) => self.check(&format!("event_{event}"), value),
            None => {
                let told_by = [
                    ("top_talkers", "report"),
                    ("summary", "summary"),
                    ("reach", "service"),
                    ("share_percent", "count"),
                    ("findings", "audit"),
                    ("rule", "finding"),
                    ("verdict", "check"),
                ];
                let found = told_by.into_iter().find(|(key, _)| value.get(key).is_some());
                self.check(found.map_or("socket", |(_, definition)| definition), value);
            }
        }
    }

    fn validate(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let schema = schema.as_object().unwrap_or_else(|| panic!("{at} has no schema"));
        for (keyword, wanted) in schema {
            let holds = match keyword.as_str() {
                "description" | "required" | "additionalProperties" => continue,
                "$ref" => {
                    let name = wanted.as_str().and_then(|path| path.strip_prefix("#/$defs/"));
                    let name = name.unwrap_or_else(|| panic!("a reference to {wanted}"));
                    self.validate(&self.0["$defs"][name], value, at, faults);
                    continue;
                }
                "properties" => {
                    if let Some(object) = value.as_object() {
                        self.properties(schema, object, at, faults);
                    }
                    continue;
                }
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.validate(wanted, item, &format!("{at}[{i}]"), faults);
                    }
                    continue;
                }
                "type" => is_of_type(value, wanted.as_str().expect("one type")),
                "const" => value == wanted,
                "enum" => wanted.as_array().is_some_and(|values| values.contains(value)),
                "minimum" => value.as_f64() >= wanted.as_f64(),
                other => panic!("the validator does not know {other:?}"),
            };
            if !holds {
                faults.push(format!("{at}: {value} is not of {keyword} {wanted}"));
            }
        }
    }

    fn properties(
        &self,
        schema: &Map<String, Value>,
        object: &Map<String, Value>,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        for key in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(key.as_str().unwrap_or_default()) {
                faults.push(format!("{at}: there is no {key}"));
            }
        }
        for (key, value) in object {
            match schema["properties"].get(key) {
                Some(property) => self.validate(property, value, &format!("{at}.{key}"), faults),
                None if schema["additionalProperties"] != false => {}
                None => faults.push(format!("{at}: the schema has no {key:?}")),
            }
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("no type {other:?} is known"),
    }
}
