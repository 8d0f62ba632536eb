//! The page of the management interface, from its OpenAPI document.

use std::fmt::Write as _;

use serde_json::Value;

const INTRODUCTION: &str = "\
# Management interface

Printed from the OpenAPI document of the interface, [openapi.json](openapi.json), version 3.1; do not edit.

HTTP and JSON. The same requests are answered in three places: on the admin socket (`admin.sock` in the runtime directory),
which only the user of the host can open and where there is no login; on [`admin.listen`](configuration.md#admin), with its
bearer token; on [`web.listen`](configuration.md#web), with the console's bearer token (`lumen web --token`) or the cookie of a
browser that [logged in](../guide/console.md). `lumen pair`, `lumen clients` and `lumen status` are programs of it.

```sh
curl -H \"Authorization: Bearer $(lumen web --token)\" http://127.0.0.1:47990/v1/status
```

What is refused has the body `{\"error\": \"a sentence\"}`. Bodies have at most 16 KiB over `web.listen`. Over TCP, every
request may also be answered 401 (neither token nor login), 403 (with a cookie, but not from the console's own page), 421 (a
name that the host does not know) and 429 (too many wrong tokens).
";

/// Answers that every request may get; the introduction has them.
const COMMON: [&str; 4] = ["401", "403", "421", "429"];

/// The page.
pub fn page(document: &Value) -> String {
    let mut page = INTRODUCTION.to_owned();
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let summary = operation["summary"].as_str().expect("everything is described");
            write(&mut page, &format!("\n## `{} {path}`\n\n{summary}\n\n", method.to_uppercase()));
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let about = parameter["description"].as_str().expect("everything is described");
                write(&mut page, &format!("- `{{{}}}`: {about}\n", parameter["name"].as_str().expect("a name")));
            }
            if let Some(body) = operation["requestBody"].as_object() {
                write(&mut page, &format!("- Body: {}\n", content(&body["content"])));
            }
            for (status, response) in operation["responses"].as_object().expect("responses") {
                if COMMON.contains(&status.as_str()) {
                    continue;
                }
                let about = match status.as_str() {
                    "200" => content(&response["content"]),
                    "204" => "nothing more to say".to_owned(),
                    _ => response["description"].as_str().expect("everything is described").to_owned(),
                };
                write(&mut page, &format!("- {status}: {about}\n"));
            }
        }
    }
    write(&mut page, "\n# What is sent\n");
    for (name, schema) in document["components"]["schemas"].as_object().expect("types") {
        kind(&mut page, name, schema);
    }
    page
}

fn kind(page: &mut String, name: &str, schema: &Value) {
    // A name explains itself.
    let about = schema["description"].as_str().map(|about| about.replace('\n', " ") + "\n\n").unwrap_or_default();
    write(page, &format!("\n## {name}\n\n{about}"));
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    for variant in variants {
        let about = variant["description"].as_str().expect("everything is described").replace('\n', " ");
        match variant["const"].as_str() {
            Some(value) => write(page, &format!("- `\"{value}\"`: {about}\n")),
            None => {
                write(page, &format!("- {about}\n"));
                fields(page, variant, "  ");
            }
        }
    }
    fields(page, schema, "");
    if schema.get("properties").is_none() && schema.get("oneOf").is_none() {
        write(page, &format!("- {}\n", type_of(schema)));
    }
}

fn fields(page: &mut String, schema: &Value, indent: &str) {
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let about = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        let optional =
            if required.is_some_and(|all| all.contains(&Value::from(name.as_str()))) { "" } else { ", may be absent" };
        let about = if about.is_empty() { String::new() } else { format!(": {about}") };
        write(page, &format!("{indent}- `{name}` ({}{optional}){about}\n", type_of(field)));
    }
}

fn content(content: &Value) -> String {
    type_of(&content["application/json"]["schema"])
}

fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().expect("a name");
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    if let Some(value) = schema["const"].as_str() {
        return format!("`\"{value}\"`");
    }
    let one = |name: &str| match name {
        "array" => format!("list of {}", type_of(&schema["items"])),
        "string" => "text".to_owned(),
        "integer" => "number".to_owned(),
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or "),
        other => panic!("no words for the type {other} of {schema}"),
    }
}

fn write(page: &mut String, text: &str) {
    page.write_str(text).expect("memory takes it");
}
