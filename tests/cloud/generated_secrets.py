"""Generated secrets, by the rules the template gives."""

import json

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners


def install() -> None:
    """Replace ministack's generator, which heeds the length and ExcludeCharacters only."""
    provisioners._sm_secret_string = secret_string


def secret_string(props: dict) -> str:
    """What AWS::SecretsManager::Secret holds: SecretString, or what GenerateSecretString makes."""
    rules = props.get("GenerateSecretString")
    if not rules or props.get("SecretString"):
        return props.get("SecretString", "")
    status, _, body = secretsmanager._get_random_password({
        name: value if name == "ExcludeCharacters" else int(value) if name == "PasswordLength"
        else str(value).lower() == "true"
        for name, value in rules.items() if name not in ("SecretStringTemplate", "GenerateStringKey")
    })
    if status >= 400:
        raise ValueError(body.decode())
    password = json.loads(body)["RandomPassword"]
    if "SecretStringTemplate" not in rules:
        return password
    return json.dumps({**json.loads(rules["SecretStringTemplate"]), rules["GenerateStringKey"]: password})
