# Formatting and lints of the Rust sources, as scripts/test runs them.
{
  lumen,
  clippy,
  rustfmt,
}:

lumen.overrideAttrs (old: {
  pname = "${old.pname}-clippy";
  outputs = [ "out" ];
  nativeBuildInputs = old.nativeBuildInputs ++ [
    clippy
    rustfmt
  ];
  buildPhase = ''
    runHook preBuild
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --offline -- -D warnings
    runHook postBuild
  '';
  doCheck = false;
  installPhase = "touch $out";
  dontFixup = true;
  doInstallCheck = false;
})
