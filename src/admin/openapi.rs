//! The operators' door described for programs (OpenAPI 3.1). The document is written by hand; tests hold it to the routes and
//! to the types, each to the other.

use axum::response::Response;
use http::StatusCode;

use super::Told;

/// The document.
const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /v1/openapi.json`.
pub(super) async fn document() -> Response {
    Told { status: StatusCode::OK, body: DOCUMENT.to_owned() }.response()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Map, Value, json};

    use super::super::*;

    /// Every source file that puts routes on the door.
    const ROUTES: &str = include_str!("../admin.rs");

    /// Holds the schema of that name to a type.
    type Check = fn(&str, &Value);

    /// Every type that goes over the wire, by its name in the document. Whoever adds a type adds it here and there.
    const TYPES: [(&str, Check); 36] = [
        ("RevokeRequest", is_described::<RevokeRequest>),
        ("Named", is_described::<Named>),
        ("RevokeAnswer", is_described::<RevokeAnswer>),
        ("Made", is_described::<Made>),
        ("Met", is_described::<Met>),
        ("MetInApp", is_described::<MetInApp>),
        ("MetAtGateway", is_described::<MetAtGateway>),
        ("LiftRequest", is_described::<LiftRequest>),
        ("LiftAnswer", is_described::<LiftAnswer>),
        ("Hold", is_described::<Hold>),
        ("Waiting", is_described::<Waiting>),
        ("ApprovalRequest", is_described::<ApprovalRequest>),
        ("ApprovalAnswer", is_described::<ApprovalAnswer>),
        ("Status", is_described::<Status>),
        ("ConfigStatus", is_described::<ConfigStatus>),
        ("ConfigChange", is_described::<ConfigChange>),
        ("ConfigFault", is_described::<ConfigFault>),
        ("ReloadAnswer", is_described::<ReloadAnswer>),
        ("Ready", is_described::<Ready>),
        ("LedgerStatus", is_described::<LedgerStatus>),
        ("FleetStatus", is_described::<FleetStatus>),
        ("GatewayStatus", is_described::<GatewayStatus>),
        ("IdpStatus", is_described::<IdpStatus>),
        ("RevalidationStatus", is_described::<RevalidationStatus>),
        ("StreamStatus", is_described::<StreamStatus>),
        ("StreamRequest", is_described::<StreamRequest>),
        ("StreamAnswer", is_described::<StreamAnswer>),
        ("StreamThere", is_described::<StreamThere>),
        ("AppStatus", is_described::<AppStatus>),
        ("Problem", is_described::<Problem>),
        ("Outcome", is_described::<Outcome>),
        ("OutcomeList", is_described::<OutcomeList>),
        ("AtGateway", is_described::<crate::outcome::AtGateway>),
        ("Amount", is_described::<crate::outcome::Amount>),
        ("Credentials", is_described::<crate::outcome::Credentials>),
        ("Left", is_described::<crate::outcome::Left>),
    ];

    fn document() -> Value {
        serde_json::from_str(super::DOCUMENT).expect("the document is JSON")
    }

    fn object(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
    }

    /// The schema of that name and the type are the same: the same fields, the same ones required, no others; and its example
    /// is one.
    fn is_described<T: Serialize + DeserializeOwned>(name: &str, schema: &Value) {
        assert_eq!(schema["type"], "object", "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}: the type takes nothing else");
        let described: BTreeSet<String> = object(&schema["properties"]).keys().cloned().collect();
        assert_eq!(described, fields_of::<T>(name), "{name}: fields in the document, and fields of the type");
        for (field, schema) in object(&schema["properties"]) {
            let told = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(!told.is_empty(), "{name}.{field} has no description");
        }
        let examples = schema["examples"].as_array().unwrap_or_else(|| panic!("{name} has no examples"));
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().flat_map(Value::as_str).collect();
        for example in examples {
            let read: T =
                serde_json::from_value(example.clone()).unwrap_or_else(|why| panic!("{name}: {why}: {example}"));
            for (field, value) in object(&serde_json::to_value(&read).expect("JSON")) {
                // What is null or empty may be left out of an example.
                let same = example.get(field).is_none_or(|given| given == value);
                assert!(same, "{name}.{field}: {value} is not as in the example");
            }
        }
        let whole = object(&examples[0]);
        for field in &described {
            let mut without = whole.clone();
            without.remove(field);
            let needed = serde_json::from_value::<T>(Value::Object(without)).is_err();
            assert_eq!(needed, required.contains(field.as_str()), "{name}.{field}: is it required?");
        }
    }

    /// The fields of a type that takes no others, as it names them when it refuses one.
    fn fields_of<T: DeserializeOwned>(name: &str) -> BTreeSet<String> {
        let refused =
            serde_json::from_value::<T>(json!({ "\u{1}": 1 })).err().unwrap_or_else(|| panic!("{name} takes all"));
        let told = refused.to_string();
        let (_, expected) = told.split_once("expected ").unwrap_or_else(|| panic!("{name}: {told}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// Every method of every route, as the source has them.
    fn routes() -> BTreeSet<(String, String)> {
        let mut routes = BTreeSet::new();
        for route in ROUTES.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once('"').expect("a path");
            let handlers = rest.split("\n").next().unwrap_or_default();
            for method in ["get", "post", "put", "delete", "patch"] {
                if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                    routes.insert((path.to_owned(), method.to_owned()));
                }
            }
        }
        routes
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_is() {
        let document = document();
        let mut described = BTreeSet::new();
        for (path, item) in object(&document["paths"]) {
            for (method, operation) in object(item) {
                described.insert((path.clone(), method.clone()));
                for part in ["summary", "operationId", "responses"] {
                    assert!(operation.get(part).is_some(), "{method} {path} has no {part}");
                }
            }
        }
        let routes = routes();
        assert!(routes.len() > 5, "{routes:?}");
        assert_eq!(described, routes);
    }

    #[test]
    fn every_type_is_in_the_document_field_by_field_and_nothing_else_is() {
        let document = document();
        let schemas = object(&document["components"]["schemas"]);
        let types: BTreeMap<_, _> = TYPES.into_iter().collect();
        let objects: BTreeSet<&str> =
            schemas.iter().filter(|(_, schema)| schema["type"] == "object").map(|(name, _)| name.as_str()).collect();
        assert_eq!(objects, types.keys().copied().collect());
        for (name, is_described) in types {
            is_described(name, &schemas[name]);
        }
    }

    #[test]
    fn every_mode_is_in_the_document() {
        let modes: Vec<_> = crate::revocation::Mode::ALL.iter().map(|mode| json!(mode.word())).collect();
        let described = document()["components"]["schemas"]["Mode"]["enum"].as_array().cloned().expect("a list");
        assert_eq!(
            described.iter().map(Value::to_string).collect::<BTreeSet<_>>(),
            modes.iter().map(Value::to_string).collect()
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        fn references(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        found.insert(reference.clone());
                    }
                    members.values().for_each(|member| references(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').expect("a reference in this document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        for (kind, parts) in object(&document["components"]) {
            for part in object(parts).keys().filter(|_| kind != "securitySchemes") {
                assert!(found.contains(&format!("#/components/{kind}/{part}")), "nothing refers to {kind} {part}");
            }
        }
    }
}
