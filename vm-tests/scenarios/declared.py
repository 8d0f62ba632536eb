# A client that the configuration declares streams from a fresh disk, without a PIN
# Fails when the declared certificate is not known at the first start, or when another one is taken for it.
start_all()
host.wait_for_unit("lumen.service")
client.wait_for_unit("multi-user.target")

# Made for this scenario alone; the certificate stands in declared.json as well.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIDCTCCAfGgAwIBAgIUC9EEd/AnmMjILPqRGbUfWe5fvhwwDQYJKoZIhvcNAQEL
BQAwEzERMA8GA1UEAwwIZGVjbGFyZWQwIBcNMjYxMTIzMTUzMzUyWhgPMjEyNjEw
MzAxNTMzNTJaMBMxETAPBgNVBAMMCGRlY2xhcmVkMIIBIjANBgkqhkiG9w0BAQEF
AAOCAQ8AMIIBCgKCAQEA842Sl6ELIXQ/ctVcGa25mkcIFegIqnrRx4VjJUvs3Ldw
8ssw70zfVsW9f1YZ1YtWCWPIpI4v9nR4JBJbX3WOoe24AiBLEOSqwdC9JMkn9+uf
i8Yog0eiAC00kFMIn04RmAKYONMZGP/MQmgokQ6j6PCmvmM1qS4CjVl1Dg8K7hO/
40Mf5l8LB92pcozlc0D8kv4XlwnQBEihryz5UuCCgQdvAnCNzgpE8QOGWCGODrdg
EGPjJOnRwjDVsPx7MM7E9mImjThWpZ/T8yoV1xhtBHOJg/PaYeRiHXDSeYUQgkjB
X/Q2mYDZRQ6GrfIX+c+5FeA3xeKAzECSy/IWJ1MEpwIDAQABo1MwUTAdBgNVHQ4E
FgQUC2qeeTsuirBOtV7foDefxSC9ECkwHwYDVR0jBBgwFoAUC2qeeTsuirBOtV7f
oDefxSC9ECkwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEARXH+
4FEkFCK4xayZuDIa2jJ189XD9PO2KNMOAxrqmRbIPR3TrEcmjpo+jBtiLF2IIhNl
zjQRf/T1m/N1l59ySSWZohYZRe+e6AffiQHRYHWruYyYEY4cWkFA95cLISPTljNA
ZS1KWOHtoGaeZA6Ija/Tms2FOSj7P4IQcR1AEDRqeANgzW4Zd85qVLMUbKXOyZmW
5cp+aNUll7dRPS5cF4aVDZotSuoD2IQ4MnjebdU1sbBHXtqELpM3sZsQVSt6uLhh
jF+l8A9KDByjJ5moPYK+Fkku7kQBt6c7U3nkEEcm62kadLYcY/nr+JLx76T/FZpb
KknBiXmdJvJy6cDtCg==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDzjZKXoQshdD9y
1VwZrbmaRwgV6AiqetHHhWMlS+zct3DyyzDvTN9Wxb1/VhnVi1YJY8ikji/2dHgk
EltfdY6h7bgCIEsQ5KrB0L0kySf365+LxiiDR6IALTSQUwifThGYApg40xkY/8xC
aCiRDqPo8Ka+YzWpLgKNWXUODwruE7/jQx/mXwsH3alyjOVzQPyS/heXCdAESKGv
LPlS4IKBB28CcI3OCkTxA4ZYIY4Ot2AQY+Mk6dHCMNWw/HswzsT2YiaNOFaln9Pz
KhXXGG0Ec4mD89ph5GIdcNJ5hRCCSMFf9DaZgNlFDoat8hf5z7kV4DfF4oDMQJLL
8hYnUwSnAgMBAAECggEAIisA31EtA2mlwxbyqk7oecqFnwkj5MLWmP6kvPqXWr7z
fg8KfkU9vz8o3sCLXvLYGaN25mW6OIGjdIViGJTLSKVVyhqSCBHZxiy3dFMyI8JZ
v4gHw/nHMkN6myrC9r0YPnKoEgTE1xsqd+sukcHI4KjuQ58dy+5pVj+FaqOqnWFA
MCDRAMPLGmzfv4V27K9TcofGtkMJ06qnrCaaiv/Hwzeb4wIyPx1rhxUXE2TiviZj
58oObt28I0eeQY4mYRCRHyDFrTAhSfdG67fMOLiNNw5kj2pvXAFQH+bEU+SJr/Dn
KtAH0hKFdy/d/T9xMYE2He/LWUo9f0dKWK+2ptLbzQKBgQD8UvcTJD9Y4ePFcE0z
aVu0EsicTESt1oI8w44HRtRFJt8qUcTr/oPKy9JUwTANXwpoGwdDmSMEzc0RgI6a
brVKfyhyGH0s0YO9cGaAaJtnaT1aPCehHd8vh9hz4vN0VMkDdU89w1hl5XyPdnwb
ZFo5LkqGNTMiXZodfumf6Hii+wKBgQD3GeVlRXMpQy4idefh6DwfyIk89UmVbqki
iquqKTNTMhbOscEIPAXoyXZaaLNcZUOiWQ2A8Xidgi1FQQbVsZEFMkX5u3k4hKHv
mpxYI0GZujQQuP8iCVImQe2CX0i9oyCDZG6c2OVPH87a5EeVAa+EmMjne3Oi1HGO
ZxanHWmVRQKBgQDA/nhK5MurIUQFTStPaoOgzUkx+0gAqvT8oxqsSCmuJthE1zxG
wWpun81l1En7wDkGfb3ln2jgkMUMYQcx6gGyVGZMNpzvveUE7ccI6noK87zgmug4
3M9L3JzbrrhFv1/szDpq5FJlxcyrMpYkoXI9EEIiOui8nVl2vA7Xp4k2JwKBgQCu
nH8MtCnvw4hLU7QbYAd0kjngeJiZ3wvn28P4x4p8RM33G4cDcZ7fY9Wdh5UPOoOz
qmgvcPNBomapJI1W3lZTLLZkBcVgWeEwtrm6UpedsQXvtzqa66lAXaAfW4PEdgyY
rJS5g09vPVPoPB4VPo6wDWMSqJsLOkJQVaqdRtyAXQKBgQDE97Kht9qNFKh3dahC
0ZStdUDswirNCLL8aOC/MaqS66OtThUemd33X7P+zOTuX13KTNOPAFPs5rxJ/DG0
dEV4u5h+1Ywsfx/Zgc5uILESRZfL/rTM1HDmMFptp/evxv22Pty8DdZOdTtkqVPZ
zL9Pm8h2KbcfFbDshzwzLsAv6Q==
-----END PRIVATE KEY-----
"""


def knows_the_host(home: str) -> None:
    """The other half of the trust is the operator's to copy as well: nothing is exchanged by PIN."""
    certificate = host.succeed("sed -n '/BEGIN CERTIFICATE/,$p' /var/lib/lumen/identity.pem")
    status = json.loads(host.succeed("lumen status --json"))
    hosts = [{"unique_id": status["host_id"], "name": "host", "address": "host:47989", "certificate": certificate}]
    client.succeed(f"cat >{home}/hosts.json <<'JSON'\n{json.dumps(hosts)}\nJSON")


with subtest("nobody has paired, and one client is known"):
    client.wait_for_open_port(47989, "host")
    clients = json.loads(host.succeed("lumen clients list --json"))
    t.assertEqual([known["name"] for known in clients], ["TV"])

with subtest("another client is refused, although it knows the host"):
    client.execute("lumen-client --identity /root/other list host")
    knows_the_host("/root/other")
    client.fail("lumen-client --identity /root/other list host")

with subtest("the declared one streams"):
    client.succeed(
        "mkdir -m 700 /root/identity",
        f"cat >/root/identity/cert.pem <<'PEM'\n{CERTIFICATE}PEM",
        f"umask 077; cat >/root/identity/key.pem <<'PEM'\n{KEY}PEM",
    )
    knows_the_host("/root/identity")
    t.assertIn("Test card", client.succeed(f"{CLIENT} list host"))
    client.succeed(stream_command("--quit-after"))
    t.assertGreaterEqual(report(client)["video"]["frames_decoded"], 20)

with subtest("its key is nowhere on the host"):
    host.fail(f"grep -rqsF '{KEY.splitlines()[5]}' /etc /var/lib/lumen /run/lumen")
