# As much of nixpkgs' library as evaluating modules/lumen.nix takes, for machines that have Nix and no nixpkgs. Written
# from its manual; where nixpkgs is at hand, nix/tests/eval.nix runs with the real one instead.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    hasAttr
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isPath
    isString
    listToAttrs
    mapAttrs
    match
    removeAttrs
    ;

  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: value: listToAttrs (map (name: nameValuePair name (value name)) names);
  filterAttrs = keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
  filterAttrsRecursive =
    keep: set:
    mapAttrs (_: value: if isAttrs value then filterAttrsRecursive keep value else value) (
      filterAttrs keep set
    );
  unique = foldl' (known: value: if elem value known then known else known ++ [ value ]) [ ];
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);

  # Definitions with a condition or a priority.
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  usual = 100;

  typeOf = value: if isAttrs value then value._type or null else null;

  # Conditions move to the leaves, so that asking for one option does not evaluate the conditions of others.
  spread =
    value:
    if typeOf value == "if" then
      map (mapAttrs (_: inner: mkIf value.condition inner)) (spread value.content)
    else if typeOf value == "merge" then
      concatMap spread value.contents
    else if typeOf value == "override" then
      map (mapAttrs (_: inner: mkOverride value.priority inner)) (spread value.content)
    else
      [ value ];

  # The plain values of a leaf, with their priorities.
  plain =
    value:
    if typeOf value == "if" then
      (if value.condition then plain value.content else [ ])
    else if typeOf value == "merge" then
      concatMap plain value.contents
    else if typeOf value == "override" then
      map (inner: inner // { inherit (value) priority; }) (plain value.content)
    else
      [
        {
          inherit value;
          priority = usual;
        }
      ];

  # Those that count: of the strongest priority.
  winners =
    definitions:
    let
      found = concatMap plain definitions;
      strongest = foldl' (least: one: if one.priority < least then one.priority else least) 9999 found;
    in
    map (one: one.value) (filter (one: one.priority == strongest) found);

  show = path: concatStringsSep "." path;

  # A type says what it takes and how several definitions become one value.
  simple = name: check: {
    inherit name;
    merge =
      path: definitions:
      let
        values = winners definitions;
        wrong = filter (value: !check value) values;
      in
      if wrong != [ ] then
        throw "A definition for option `${show path}' is not of type `${name}'."
      else if any (value: value != head values) values then
        throw "The option `${show path}' has conflicting definition values."
      else
        head values;
  };
  listOf = element: {
    inherit element;
    name = "list of ${element.name}";
    merge =
      path: definitions:
      let
        values = winners definitions;
      in
      if !all isList values then
        throw "A definition for option `${show path}' is not of type `list of ${element.name}'."
      else
        concatMap (map (value: element.merge path [ value ])) values;
    empty = [ ];
  };
  attrsOf = element: {
    inherit element;
    name = "attribute set of ${element.name}";
    merge =
      path: definitions:
      let
        values = concatMap spread (winners' definitions);
      in
      if !all isAttrs values then
        throw "A definition for option `${show path}' is not of type `attribute set of ${element.name}'."
      else
        filterAttrs (_: value: value != { _type = "undefined"; }) (
          genAttrs (unique (concatMap attrNames values)) (
            name:
            merged element (path ++ [ name ]) (
              concatMap (value: if hasAttr name value then [ value.${name} ] else [ ]) values
            )
          )
        );
    empty = { };
  };
  # Sets are merged by their names, so their conditions stay with the leaves.
  winners' =
    definitions:
    concatMap (
      value:
      if typeOf value == "if" && !value.condition then
        [ ]
      else if typeOf value == "if" then
        winners' [ value.content ]
      else if typeOf value == "merge" then
        winners' value.contents
      else
        [ value ]
    ) definitions;
  merged =
    type: path: definitions:
    if concatMap plain definitions == [ ] then
      { _type = "undefined"; }
    else
      type.merge path definitions;
  anything = {
    name = "anything";
    merge =
      path: definitions:
      let
        values = winners definitions;
      in
      if
        all (value: isAttrs value && typeOf value == null && value.type or null != "derivation") values
      then
        (attrsOf anything).merge path definitions
      else if all isList values then
        concatMap (value: value) values
      else
        (simple "anything" (_: true)).merge path definitions;
  };

  types = {
    inherit anything attrsOf listOf;
    bool = simple "boolean" isBool;
    str = simple "string" isString;
    lines = simple "lines" isString;
    package = simple "package" (value: isAttrs value && value.type or null == "derivation");
    path = simple "path" (value: isPath value || (isString value && match "/.*" value != null));
    port = simple "port" (value: isInt value && value >= 0 && value <= 65535);
    unspecified = simple "unspecified" (_: true);
    attrs = attrsOf anything;
    ints.between =
      least: most:
      simple "integer between ${toString least} and ${toString most}" (
        value: isInt value && value >= least && value <= most
      );
    strMatching =
      pattern: simple "string matching ${pattern}" (value: isString value && match pattern value != null);
    enum =
      values: simple "one of ${concatStringsSep ", " (map toString values)}" (value: elem value values);
    nullOr = inner: {
      name = "null or ${inner.name}";
      merge =
        path: definitions:
        if all (value: value == null) (winners definitions) then null else inner.merge path definitions;
    };
    either = one: other: {
      name = "${one.name} or ${other.name}";
      merge =
        path: definitions:
        let
          tried = builtins.tryEval (one.merge path definitions);
        in
        if tried.success then tried.value else other.merge path definitions;
    };
    submodule = module: {
      name = "submodule";
      inherit (module) options;
      merge = path: definitions: evaluate path module (winners' definitions);
      empty = evaluate [ ] module [ ];
    };
  };

  # The value of a tree of options: `module` has `options`, and for what they leave out a `freeformType`.
  evaluate =
    path: module: definitions:
    let
      parts = concatMap spread definitions;
      named = name: concatMap (part: if hasAttr name part then [ part.${name} ] else [ ]) parts;
      known = module.options;
      value =
        name:
        let
          at = path ++ [ name ];
          node = known.${name};
        in
        if typeOf node == "option" then
          option at node (named name)
        else
          evaluate at { options = node; } (named name);
      others = filter (name: !hasAttr name known) (unique (concatMap attrNames parts));
      free = genAttrs others (name: merged module.freeformType (path ++ [ name ]) (named name));
    in
    if others != [ ] && !(module ? freeformType) then
      throw "The option `${show (path ++ [ (head others) ])}' does not exist."
    else
      mapAttrs (name: _: value name) known // filterAttrs (_: one: one != { _type = "undefined"; }) free;

  option =
    path: declared: definitions:
    let
      given = definitions ++ (if declared ? default then [ (mkOverride 1500 declared.default) ] else [ ]);
    in
    if concatMap plain given == [ ] then
      (declared.type.empty or (throw "The option `${show path}' was accessed but has no value defined."))
    else
      declared.type.merge path given;

  union =
    one: other:
    one
    // mapAttrs (
      name: value: if hasAttr name one && typeOf value != "option" then union one.${name} value else value
    ) other;

  lib = {
    inherit
      all
      any
      attrNames
      attrValues
      concatMap
      concatStringsSep
      elem
      filter
      filterAttrs
      filterAttrsRecursive
      foldl'
      genAttrs
      hasAttr
      mapAttrs
      mapAttrsToList
      mkDefault
      mkForce
      mkIf
      mkMerge
      types
      unique
      ;
    recursiveUpdate = union;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    mkOption = declared: declared // { _type = "option"; };
    mkEnableOption = what: {
      _type = "option";
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
    mkPackageOption = pkgs: name: _: {
      _type = "option";
      type = types.package;
      default = pkgs.${name};
      description = "The ${name} package to use.";
    };

    # The configuration that modules make together.
    evalModules =
      { modules, specialArgs }:
      let
        arguments = specialArgs // {
          inherit config lib options;
        };
        open =
          module:
          if isPath module then
            open (import module)
          else if isFunction module then
            module arguments
          else
            module;
        # Those that a module imports come before it.
        whole =
          module:
          let
            opened = open module;
          in
          concatMap whole (opened.imports or [ ]) ++ [ opened ];
        opened = concatMap whole modules;
        options = foldl' union { } (map (module: module.options or { }) opened);
        definitions = concatMap (
          module:
          if module ? config then
            [ module.config ]
          else if module ? options then
            [ ]
          else
            [
              (removeAttrs module [
                "imports"
                "meta"
              ])
            ]
        ) opened;
        config = evaluate [ ] { inherit options; } definitions;
      in
      {
        inherit config options;
      };
  };
in
lib
