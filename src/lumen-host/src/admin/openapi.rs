//! The management interface as an OpenAPI document, from the types that it speaks. A test compares the page of the book with
//! it, and asks a host for every request that is described.

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Value, json};

use super::api::{EnterPin, ErrorBody, Login, PairingResult, Rename, Status};
use crate::config::OwnGrants;
use crate::doctor::Report;
use crate::gamestream::pairing_server::PendingAttempt;
use crate::store::Client;

/// The document, version 3.1.
pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut types = SchemaGenerator::new(settings);
    let error = reference::<ErrorBody>(&mut types);
    let mut paths = serde_json::Map::new();
    for operation in operations(&mut types) {
        let mut responses = serde_json::Map::new();
        let code = if operation.answer.is_some() { "200" } else { "204" };
        let done = match operation.answer {
            Some(answer) => json!({ "description": "Done.", "content": { "application/json": { "schema": answer } } }),
            None => json!({ "description": "Done." }),
        };
        responses.insert(code.to_owned(), done);
        for (status, why) in operation.refusals.iter().chain(&COMMON) {
            let content = json!({ "application/json": { "schema": error } });
            responses.insert(status.to_string(), json!({ "description": why, "content": content }));
        }
        let mut described = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "responses": responses,
        });
        if let Some((name, about)) = operation.parameter {
            described["parameters"] = json!([{
                "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" },
            }]);
        }
        if let Some(body) = operation.body {
            described["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": body } } });
        }
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lumen",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Management of a lumen host. The same requests are answered on the admin socket, which only the \
                user of the host can open, without a login; on `admin.listen`, with the bearer token of its own; and on \
                `web.listen`, with the bearer token of the console or the cookie of a browser that logged in.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:47990" }],
        "security": [{ "token": [] }, { "cookie": [] }],
        "paths": paths,
        "components": {
            "schemas": types.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "The token that `lumen web --token` prints." },
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": "lumen_console",
                    "description": "Given by POST /login. Requests that change something must then come from the console's \
                        own page (Origin).",
                },
            },
        },
    })
}

/// What every request may be answered over TCP.
const COMMON: [(u16, &str); 4] = [
    (401, "Neither the token nor a login."),
    (403, "With a cookie, but not from the console's own page."),
    (421, "The host was asked for by a name that it does not know."),
    (429, "Too many wrong tokens came from this address; Retry-After says when the next may be tried."),
];

struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameter: Option<(&'static str, &'static str)>,
    body: Option<Value>,
    answer: Option<Value>,
    refusals: &'static [(u16, &'static str)],
}

impl Operation {
    const fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self { method, path, id, summary, parameter: None, body: None, answer: None, refusals: &[] }
    }

    fn of_client(self) -> Self {
        Self { parameter: Some(("client", "SHA-256 of the client's certificate, hexadecimal.")), ..self }
    }

    fn takes(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    fn gives(self, answer: Value) -> Self {
        Self { answer: Some(answer), ..self }
    }

    fn refuses(self, refusals: &'static [(u16, &'static str)]) -> Self {
        Self { refusals, ..self }
    }
}

fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    const NO_CLIENT: (u16, &str) = (404, "No client has this fingerprint.");
    const DECLARED: (u16, &str) = (409, "The client is declared in the configuration, which is not changed here.");
    const MALFORMED: (u16, &str) = (400, "The body makes no sense.");
    let client = reference::<Client>(types);
    let pending = reference::<PendingAttempt>(types);
    let list = |of: &Value| json!({ "type": "array", "items": of });
    vec![
        Operation::new("get", "/v1/status", "status", "The host at a glance.").gives(reference::<Status>(types)),
        Operation::new("get", "/v1/doctor", "doctor", "What works here, and how to mend what does not.")
            .gives(reference::<Report>(types))
            .refuses(&[(500, "The examination itself failed.")]),
        Operation::new("get", "/v1/pairing", "waiting", "Clients that wait for their PIN.").gives(list(&pending)),
        Operation::new(
            "post",
            "/v1/pairing",
            "enterPin",
            "Enters the PIN that a client shows, and waits for what becomes of it.",
        )
        .takes(reference::<EnterPin>(types))
        .gives(reference::<PairingResult>(types))
        .refuses(&[
            (400, "Not four digits, or the body makes no sense."),
            (404, "Nobody waits, or not the one that was chosen."),
            (409, "Several wait and none was chosen; the answer lists them."),
        ]),
        Operation::new("get", "/v1/clients", "clients", "Clients that may stream, by name.").gives(list(&client)),
        Operation::new("patch", "/v1/clients/{client}", "rename", "Gives a client another name.")
            .of_client()
            .takes(reference::<Rename>(types))
            .gives(client.clone())
            .refuses(&[MALFORMED, NO_CLIENT, (409, "The client is declared, or another one has the name.")]),
        Operation::new("delete", "/v1/clients/{client}", "remove", "Removes a client; what it streams ends.")
            .of_client()
            .gives(client.clone())
            .refuses(&[NO_CLIENT, DECLARED]),
        Operation::new("put", "/v1/clients/{client}/grants", "grant", "Says what a client may do, from now on.")
            .of_client()
            .takes(reference::<OwnGrants>(types))
            .gives(client)
            .refuses(&[MALFORMED, NO_CLIENT, DECLARED]),
        Operation {
            parameter: Some(("id", "Number of the session.")),
            ..Operation::new("post", "/v1/sessions/{id}/stop", "stop", "Ends a session and its application.")
        }
        .refuses(&[(404, "There is no such session.")]),
        Operation::new("post", "/login", "login", "Logs a browser in: the answer sets the cookie. Only on web.listen.")
            .takes(reference::<Login>(types))
            .refuses(&[MALFORMED]),
        Operation::new("delete", "/login", "logout", "Logs a browser out. Only on web.listen."),
    ]
}

fn reference<T: JsonSchema>(types: &mut SchemaGenerator) -> Value {
    types.subschema_for::<T>().to_value()
}
