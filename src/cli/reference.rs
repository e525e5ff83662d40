//! `portcullis reference`: every key of the config.
pub(super) fn reference(schema: bool) -> String {
    let shape = crate::config::Shape::of_config();
    let mut out = String::new();
    for table in shape.tables() {
        for (name, key) in shape.keys(table) {
            out.push_str(&format!("{table} . {name}: {key:?} {schema}\n"));
        }
    }
    out
}
