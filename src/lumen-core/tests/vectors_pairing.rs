//! Every vector of `pairing.json`: certificates, the computations of each phase from both sides, messages, and the
//! order of phases; and whole attempts between both halves of this project.
#![cfg(feature = "pairing")]

mod vector_file;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use lumen_core::gamestream::http::Channel;
use lumen_core::gamestream::pairing::{
    Answer, Certificate, Challenge, ChallengeResponse, ClientHash, ClientPairing, HostPairing, Identity, PairCall,
    PairPath, PairPhase, PairReply, PairRequest, PairingError, PairingKey, PairingLimits, Pin, PinTarget, Progress,
    Salt, Secret, ServerHash, UniqueId, sign_secret, verify_client_pairing_secret, verify_pairing_secret,
};
use lumen_core::time::Timestamp;
use openssl::sha::sha256;
use serde_json::{Value, json};
use vector_file::{check, hex, string, unhex};

const TEXT: &str = include_str!("vectors/pairing.json");
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 20));

#[test]
fn all_vectors_of_pairing_hold() {
    let identities = Identities::load();
    check(TEXT, 106, |kind, inputs, _| {
        let result = match kind {
            "certificate" => certificate(inputs),
            "key_pair" => Ok(json!({ "matches": identities.get(&inputs["identity"]).sign(b"x").is_ok() })),
            "key_derivation" => key_derivation(inputs),
            "client_challenge" => {
                Ok(json!({ "message": hex(&key(inputs).encrypt(array::<16>(&inputs["challenge"]))) }))
            }
            "challenge_response" => challenge_response(inputs, &identities),
            "server_challenge_response" => Ok(server_challenge_response(inputs, &identities)),
            "pairing_secret" => pairing_secret(inputs, &identities),
            "verify_pairing_secret" => verify_pairing_secret(
                &unhex(&inputs["message"]),
                identities.get(&inputs["host"]).certificate(),
                &Challenge(array(&inputs["client_challenge"])),
                &ServerHash(array(&inputs["server_hash"])),
            )
            .map(|secret| json!({ "server_secret": hex(&secret.0), "accepted": true })),
            "client_pairing_secret" => {
                let secret = Secret(array(&inputs["client_secret"]));
                Ok(json!({ "message": hex(&sign_secret(identities.get(&inputs["client"]), &secret).unwrap()) }))
            }
            "verify_client_pairing_secret" => return Some(verify_client(inputs, &identities)),
            "decrypt" => Ok(json!({ "plain": hex(&key(inputs).decrypt(array::<48>(&inputs["message"]))) })),
            "transcript" => Ok(transcript(inputs, &identities)),
            "request" => request(inputs),
            "reply" => return Some(reply(inputs)),
            "state_machine" => Ok(state_machine(inputs, &identities)),
            _ => return None,
        };
        Some(result.unwrap_or_else(class))
    });
}

fn certificate(inputs: &Value) -> Result<Value, PairingError> {
    let text = string(&inputs["pem"]);
    let certificate = Certificate::from_pem(text)?;
    assert_eq!(Certificate::from_der(certificate.der())?, certificate);
    assert_eq!(certificate.to_pem()?, text.replace("\r\n", "\n"));
    Ok(json!({
        "text_length": text.len(),
        "text_sha256": hex(&sha256(text.as_bytes())),
        "der_sha256": certificate.fingerprint().to_string(),
        "signature": hex(certificate.signature()),
        "modulus_bits": certificate.rsa_signature_bytes().map(|bytes| bytes * 8),
    }))
}

fn key_derivation(inputs: &Value) -> Result<Value, PairingError> {
    let salt: Salt = string(&inputs["salt"]).parse()?;
    let pin: Pin = string(&inputs["pin"]).parse()?;
    let input = [&salt.0[..], pin.reveal().as_bytes()].concat();
    Ok(json!({
        "input": hex(&input),
        "sha256": hex(&sha256(&input)),
        "key": hex(PairingKey::derive(&salt, &pin).as_bytes()),
    }))
}

fn challenge_response(inputs: &Value, identities: &Identities) -> Result<Value, PairingError> {
    let PairRequest::ClientChallenge(message) = phase("clientchallenge", inputs)? else { unreachable!() };
    let key = key(inputs);
    let challenge = Challenge(key.decrypt(message));
    let secret = Secret(array(&inputs["server_secret"]));
    let hash = ServerHash::new(&challenge, identities.get(&inputs["host"]).certificate(), &secret);
    let response = ChallengeResponse { hash, challenge: Challenge(array(&inputs["server_challenge"])) };
    let sealed = response.seal(&key);
    assert_eq!(ChallengeResponse::open(&key, sealed), response);
    Ok(json!({
        "client_challenge": hex(&challenge.0),
        "server_hash": hex(&hash.0),
        "plain": hex(&key.decrypt(sealed)),
        "message": hex(&sealed),
    }))
}

fn server_challenge_response(inputs: &Value, identities: &Identities) -> Value {
    let key = key(inputs);
    let ChallengeResponse { hash, challenge } = ChallengeResponse::open(&key, array(&inputs["message"]));
    let secret = Secret(array(&inputs["client_secret"]));
    let client_hash = ClientHash::new(&challenge, identities.get(&inputs["client"]).certificate(), &secret);
    json!({
        "server_hash": hex(&hash.0),
        "server_challenge": hex(&challenge.0),
        "client_hash": hex(&client_hash.0),
        "message": hex(&key.encrypt(client_hash.0)),
    })
}

fn pairing_secret(inputs: &Value, identities: &Identities) -> Result<Value, PairingError> {
    let PairRequest::ServerChallengeResponse(message) = phase("serverchallengeresp", inputs)? else { unreachable!() };
    let secret = Secret(array(&inputs["server_secret"]));
    Ok(json!({
        "client_hash": hex(&key(inputs).decrypt(message)),
        "message": hex(&sign_secret(identities.get(&inputs["host"]), &secret).unwrap()),
    }))
}

fn verify_client(inputs: &Value, identities: &Identities) -> Value {
    let result = verify_client_pairing_secret(
        &unhex(&inputs["message"]),
        identities.get(&inputs["client"]).certificate(),
        &Challenge(array(&inputs["server_challenge"])),
        &ClientHash(array(&inputs["client_hash"])),
    );
    match result {
        Ok(secret) => json!({ "client_secret": hex(&secret.0), "paired": 1 }),
        Err(error) => {
            let mut value = class(error);
            value["paired"] = json!(0);
            value
        }
    }
}

/// Both halves of this project against each other, with the secrets of the vector.
fn transcript(inputs: &Value, identities: &Identities) -> Value {
    let bytes = |name: &str| array::<16>(&inputs[name]);
    let mut client_script = script([bytes("salt"), bytes("client_challenge"), bytes("client_secret")]);
    let mut host_script = script([bytes("server_secret"), bytes("server_challenge")]);
    let pin: Pin = string(&inputs["pin"]).parse().unwrap();
    let key = PairingKey::derive(&Salt(bytes("salt")), &pin);
    let (host_id, client_id) = (identities.shared(&inputs["host"]), identities.shared(&inputs["client"]));
    let mut host = HostPairing::new(Arc::clone(&host_id), PairingLimits::default());
    let unique_id = UniqueId::new(UniqueId::SHARED).unwrap();
    let mut client = ClientPairing::new(client_id, unique_id, &pin, &mut client_script);
    let mut result = json!({ "key": hex(key.as_bytes()) });
    loop {
        let request = client.request().unwrap();
        let call = PairCall::parse(PairPath::Pair, &request.query, request.channel).unwrap();
        match &call.request {
            PairRequest::ClientChallenge(message) => result["clientchallenge"] = json!(hex(message)),
            PairRequest::ServerChallengeResponse(message) => {
                result["serverchallengeresp"] = json!(hex(message));
                result["client_hash"] = json!(hex(&key.decrypt(*message)));
            }
            PairRequest::ClientPairingSecret(message) => result["clientpairingsecret"] = json!(hex(message)),
            _ => {}
        }
        let path = PairPath::Pair;
        let outcome = host.handle(PEER, path, &request.query, request.channel, Timestamp::ZERO, &mut host_script);
        let reply = match outcome.answer {
            Answer::Held(attempt) => {
                let released = host.enter_pin(PinTarget::Only, pin, Timestamp::ZERO).unwrap();
                assert_eq!(released.attempt, attempt);
                released.reply
            }
            Answer::Reply(reply) => reply,
            Answer::Pin { certificate, .. } => {
                assert_eq!(certificate, *identities.get(&inputs["client"]).certificate());
                result["paired"] = json!(1);
                PairReply::Paired
            }
            Answer::CheckCertificate => PairReply::Paired,
        };
        match &reply {
            PairReply::ChallengeResponse(message) => {
                result["challengeresponse"] = json!(hex(message));
                result["server_hash"] = json!(hex(&ChallengeResponse::open(&key, *message).hash.0));
            }
            PairReply::PairingSecret(message) => result["pairingsecret"] = json!(hex(message)),
            _ => {}
        }
        if let Progress::Paired(certificate) = client.receive(&reply.to_xml()).unwrap() {
            assert_eq!(certificate, *host_id.certificate());
            return result;
        }
    }
}

fn request(inputs: &Value) -> Result<Value, PairingError> {
    let (path, query) = string(&inputs["url"]).split_once('?').unwrap();
    let path = if path == "/unpair" { PairPath::Unpair } else { PairPath::Pair };
    let channel = if inputs["secure"] == json!(true) { Channel::Https } else { Channel::Http };
    let call = PairCall::parse(path, query, channel)?;
    let pem = match &call.request {
        PairRequest::GetServerCertificate { certificate, .. } => certificate.to_pem()?,
        _ => String::new(),
    };
    assert_eq!(PairCall::parse(path, &call.to_query(&pem), channel)?, call, "what is written is read the same");
    let mut result = match call.request {
        PairRequest::GetServerCertificate { salt, certificate, .. } => json!({
            "phase": 1, "salt": hex(&salt.0), "client_certificate_sha256": certificate.fingerprint().to_string(),
        }),
        PairRequest::ClientChallenge(message) => json!({ "phase": 2, "message": hex(&message) }),
        PairRequest::ServerChallengeResponse(message) => json!({ "phase": 3, "message": hex(&message) }),
        PairRequest::ClientPairingSecret(message) => json!({ "phase": 4, "message": hex(&message) }),
        PairRequest::PairChallenge => json!({ "phase": 5 }),
        PairRequest::Unpair => json!({ "phase": "unpair" }),
    };
    result["uniqueid"] = json!(call.unique_id.as_str());
    Ok(result)
}

fn reply(inputs: &Value) -> Value {
    let phase = match inputs["phase"].as_u64() {
        Some(1) => PairPhase::GetServerCertificate,
        Some(2) => PairPhase::ClientChallenge,
        Some(3) => PairPhase::ServerChallengeResponse,
        Some(4) => PairPhase::ClientPairingSecret,
        Some(5) => PairPhase::PairChallenge,
        _ => PairPhase::Unpair,
    };
    let reply = match PairReply::parse(phase, string(&inputs["xml"])) {
        Ok(reply) => reply,
        Err(error) => return class(error),
    };
    assert_eq!(PairReply::parse(phase, &reply.to_xml()).unwrap(), reply, "what is written is read the same");
    match reply {
        PairReply::ServerCertificate(pem) => json!({
            "outcome": "continue",
            "host_certificate_sha256": Certificate::from_pem(&pem).unwrap().fingerprint().to_string(),
        }),
        PairReply::ChallengeResponse(message) => json!({ "outcome": "continue", "message": hex(&message) }),
        PairReply::PairingSecret(message) => json!({ "outcome": "continue", "message": hex(&message) }),
        PairReply::Unpaired => json!({ "outcome": "ok" }),
        _ => json!({ "outcome": "paired" }),
    }
}

/// The events with real messages: the host's secrets are always the same, so that those of the client are, too.
fn state_machine(inputs: &Value, identities: &Identities) -> Value {
    let pin: Pin = "4217".parse().unwrap();
    let (salt, challenge, secret) = (Salt([1; 16]), Challenge([2; 16]), Secret([3; 16]));
    let (host_secret, host_challenge) = ([4; 16], Challenge([5; 16]));
    let client = identities.shared(&json!("client"));
    let key = PairingKey::derive(&salt, &pin);
    let hash = ClientHash::new(&host_challenge, client.certificate(), &secret);
    let good = sign_secret(&client, &secret).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    let mut host = HostPairing::new(identities.shared(&json!("host")), PairingLimits::default());
    let mut pinned = false;
    let mut results = Vec::new();
    for event in inputs["events"].as_array().unwrap() {
        let query = |request| {
            let call = PairCall { unique_id: UniqueId::new("7f3a9").unwrap(), request };
            call.to_query(client.certificate_pem())
        };
        let (path, query) = match string(event) {
            "pin" => {
                let result = host.enter_pin(PinTarget::Only, pin, Timestamp::ZERO);
                results.push(if result.is_ok() { "plaincert" } else { "ignored" });
                continue;
            }
            "unpair" => (PairPath::Unpair, query(PairRequest::Unpair)),
            "getservercert" => {
                let certificate = client.certificate().clone();
                (PairPath::Pair, query(PairRequest::GetServerCertificate { salt, certificate, device_name: None }))
            }
            "clientchallenge" => (PairPath::Pair, query(PairRequest::ClientChallenge(key.encrypt(challenge.0)))),
            "serverchallengeresp" => (PairPath::Pair, query(PairRequest::ServerChallengeResponse(key.encrypt(hash.0)))),
            "clientpairingsecret:ok" => (PairPath::Pair, query(PairRequest::ClientPairingSecret(good.clone()))),
            "clientpairingsecret:bad" => (PairPath::Pair, query(PairRequest::ClientPairingSecret(bad.clone()))),
            "clientchallenge:malformed" => (PairPath::Pair, "uniqueid=7f3a9&clientchallenge=zz".to_owned()),
            other => panic!("unknown event {other}"),
        };
        let mut entropy = script([host_secret, host_challenge.0]);
        let outcome = host.handle(PEER, path, &query, Channel::Http, Timestamp::ZERO, &mut entropy);
        results.push(match outcome.answer {
            Answer::Held(_) if outcome.released.is_some() => "held_previous_released",
            Answer::Held(_) => "held",
            Answer::Reply(PairReply::ChallengeResponse(_)) => "challengeresponse",
            Answer::Reply(PairReply::PairingSecret(_)) => "pairingsecret",
            Answer::Reply(PairReply::NotPaired) => "failed",
            Answer::Reply(PairReply::Unpaired) => "ok",
            Answer::Reply(PairReply::Error(_)) => "error",
            Answer::Pin { certificate, .. } => {
                assert_eq!(certificate, *client.certificate());
                pinned = true;
                "pinned"
            }
            other => panic!("unexpected answer {other:?}"),
        });
    }
    json!({ "results": results, "pinned": pinned })
}

struct Identities {
    host: Arc<Identity>,
    client: Arc<Identity>,
}

impl Identities {
    fn load() -> Self {
        let file: Value = serde_json::from_str(TEXT).unwrap();
        let identity = |name: &str| {
            let entry = &file["identities"][name];
            let key = string(&entry["private_key_pkcs8_base64"]);
            let lines: Vec<&str> = (0..key.len()).step_by(64).map(|at| &key[at..key.len().min(at + 64)]).collect();
            let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
            Arc::new(Identity::from_pem(&key, string(&entry["certificate_pem"])).unwrap())
        };
        Self { host: identity("host"), client: identity("client") }
    }

    fn get(&self, name: &Value) -> &Identity {
        if string(name) == "host" { &self.host } else { &self.client }
    }

    fn shared(&self, name: &Value) -> Arc<Identity> {
        Arc::clone(if string(name) == "host" { &self.host } else { &self.client })
    }
}

/// Reads the vector's message as the parameter of a request.
fn phase(parameter: &str, inputs: &Value) -> Result<PairRequest, PairingError> {
    let query = format!("uniqueid=1&{parameter}={}", string(&inputs["message"]));
    PairCall::parse(PairPath::Pair, &query, Channel::Http).map(|call| call.request)
}

/// An entropy source that yields the given bytes in turn.
fn script<const N: usize>(values: [[u8; 16]; N]) -> impl FnMut(&mut [u8]) {
    let mut values = VecDeque::from(values);
    move |buffer: &mut [u8]| buffer.copy_from_slice(&values.pop_front().expect("enough randomness"))
}

fn key(inputs: &Value) -> PairingKey {
    PairingKey::from_bytes(array(&inputs["key"]))
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().expect("bytes of a fixed length")
}

/// The error class: variants are named after it.
fn class(error: impl std::fmt::Debug) -> Value {
    let name: String = format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
    json!({ "error": name })
}
