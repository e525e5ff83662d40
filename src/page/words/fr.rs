//! French.

use super::Passage;
use crate::page::saying::{Label, Mismatch, Saying};

pub(super) const fn passage(of: Saying) -> Passage {
    match of {
        Saying::SignedOut => [
            "Vous êtes déconnecté",
            "Votre session dans ce navigateur est terminée.",
            "Vous pouvez fermer cet onglet ou vous reconnecter.",
        ],
        Saying::SignOutAsked => ["Se déconnecter ?", "Une page d’un autre site demande à vous déconnecter.", ""],
        Saying::SessionEnded => [
            "Votre session a pris fin",
            "Votre organisation a mis fin à cette session. Tout ce qui y était ouvert s’est arrêté.",
            "Pour continuer, reconnectez-vous. Une connexion antérieure ne compte pas : vous devrez prouver à nouveau \
             votre identité.",
        ],
        Saying::LoginNotFresh => [
            "Une nouvelle connexion est nécessaire",
            "{idp} a répondu avec une connexion antérieure à la fin de votre session. Elle ne peut plus servir.",
            "Réessayez et saisissez votre mot de passe quand {idp} le demande. S’il ne le demande pas, déconnectez-vous \
             d’abord de ce service. Si cette page revient, prévenez votre administrateur : {idp} n’exige pas de nouvelle \
             connexion alors qu’on le lui demande.",
        ],
        Saying::OnHold => [
            "Votre accès est suspendu",
            "Votre organisation a suspendu votre accès. Rien ne se poursuit pour vous dans {app} tant que la suspension \
             n’est pas levée.",
            "Se reconnecter ne sert à rien. Adressez-vous à votre administrateur ou au support.",
        ],
        Saying::Crowded => [
            "Personne ne peut se connecter pour le moment",
            "Tant de sessions ont été terminées qu’il n’y a plus de place pour en suivre de nouvelles. Les personnes déjà \
             connectées peuvent continuer.",
            "Votre compte n’est pas en cause. Réessayez dans quelques minutes ; si cette page persiste, prévenez votre \
             administrateur.",
        ],
        Saying::Blind => [
            "{app} est fermé pour le moment",
            "Le service de connexion n’indique pas en ce moment quelles sessions sont terminées ; personne n’est donc admis.",
            "Votre compte n’est pas en cause. L’accès se rouvrira de lui-même ; réessayez dans quelques minutes.",
        ],
        Saying::IdpUnreachable => [
            "La connexion est impossible pour l’instant",
            "{idp} ne répond pas.",
            "Votre compte n’est pas en cause. Patientez un instant, puis réessayez.",
        ],
        Saying::CannotCheck => [
            "La vérification est impossible pour l’instant",
            "Le service de connexion ne répond pas.",
            "Réessayez dans un instant.",
        ],
        Saying::AppDown => [
            "{app} ne répond pas",
            "Vous êtes connecté, mais l’application elle-même est injoignable.",
            "Patientez un instant, puis réessayez.",
        ],
        Saying::Forbidden => [
            "Vous n’avez pas accès à {app}",
            "Vous êtes connecté, mais vous n’êtes pas autorisé à utiliser cette application.",
            "Demandez l’accès à son responsable, ou connectez-vous sous un autre nom.",
        ],
        Saying::BadRequest => [
            "Cette demande n’a pas été comprise",
            "Il n’est pas possible de répondre à ce que le navigateur a envoyé.",
            "Revenez en arrière et recommencez. Un favori vers une page de connexion ne sert qu’une fois.",
        ],
        Saying::TooManyRequests => [
            "Trop de demandes",
            "Trop de demandes sont venues d’ici en peu de temps.",
            "Attendez {seconds} secondes, puis réessayez.",
        ],
        Saying::TooLarge => ["C’est trop volumineux", "{app} accepte au plus {bytes} octets à la fois.", ""],
        Saying::NotFound => [
            "Il n’y a rien ici",
            "Aucune application n’est connue à cette adresse.",
            "Vérifiez que l’adresse est bien écrite.",
        ],
        Saying::SignedIn => ["Vous êtes connecté", "Vous allez revenir là où vous étiez.", ""],
        Saying::AnswerUnasked => [
            "Vous n’êtes pas connecté",
            "La réponse du service de connexion ne correspond à aucune demande.",
            "Réessayez, ou adressez-vous aux responsables de ce service.",
        ],
        Saying::IdpFault => [
            "Vous n’êtes pas connecté",
            "Le service de connexion rencontre actuellement une panne.",
            "Réessayez, ou adressez-vous aux responsables de ce service.",
        ],
        Saying::IdpRefused => [
            "Vous n’êtes pas connecté",
            "Le service de connexion ne vous a pas connecté.",
            "Réessayez, ou adressez-vous aux responsables de ce service.",
        ],
        Saying::AnswerUntrusted => [
            "Vous n’êtes pas connecté",
            "Le service de connexion a donné une réponse à laquelle on ne peut pas se fier.",
            "Réessayez. Si cela persiste, les responsables de ce service en trouveront la raison dans son journal.",
        ],
        Saying::TooManyGroups => [
            "Vous ne pouvez pas être connecté",
            "Votre compte a plus de groupes qu’une session ne peut en contenir.",
            "Demandez aux responsables de ce service d’envoyer moins de groupes.",
        ],
        Saying::NotUnderWay => [
            "Cette connexion n’est plus en cours",
            "Elle s’est terminée dans un autre onglet, a duré trop longtemps, ou votre navigateur ne conserve pas de \
             cookies pour cette adresse.",
            "Reconnectez-vous. Si cette page revient, vérifiez que les cookies sont autorisés ici.",
        ],
        Saying::Bounces(mismatch) => bounces(mismatch),
        Saying::FormKept => [
            "Vous avez envoyé un formulaire avant de vous connecter",
            "Il était destiné à {app} et n’y est pas arrivé. Il a été conservé dans ce navigateur.",
            "Faut-il l’envoyer maintenant ? Il sera envoyé une seule fois.",
        ],
        Saying::FormOfAnother => [
            "Le formulaire n’a pas été envoyé",
            "Un formulaire rempli par une autre personne était conservé dans ce navigateur. Il a été supprimé, et {app} ne \
             l’a pas reçu.",
            "Si c’était vous, sous un autre nom : remplissez-le à nouveau.",
        ],
        Saying::FormGone => [
            "Le formulaire n’est plus là",
            "Un formulaire est conservé un quart d’heure et affiché une seule fois. {app} ne l’a pas reçu d’ici une \
             nouvelle fois.",
            "Regardez dans l’application s’il y est ; sinon, remplissez-le à nouveau.",
        ],
    }
}

const fn bounces(mismatch: Mismatch) -> Passage {
    const TITLE: &str = "La connexion ne tient pas";
    match mismatch {
        Mismatch::NoCookies => [
            TITLE,
            "Le navigateur n’a pas renvoyé le cookie défini pour {host} au début de cette connexion.",
            "Autorisez les cookies pour {host}, et connectez-vous depuis {url} même, et non depuis une adresse copiée ou \
             enregistrée. Pour l’administrateur : tout le monde atteint-il l’application à l’adresse {url}, et aucun proxy \
             en amont ne retire-t-il les cookies ?",
        ],
        Mismatch::PlainHttp => [
            TITLE,
            "L’application est configurée pour être atteinte à l’adresse {url}, sans chiffrement. Les navigateurs n’y \
             conservent aucune connexion.",
            "Vous ne pouvez pas changer cela vous-même. Pour l’administrateur : rendez {host} accessible en https, et \
             indiquez cette adresse comme url de l’application.",
        ],
        Mismatch::SessionNotSent => [
            TITLE,
            "Vous venez de vous connecter plusieurs fois. Le navigateur renvoie de petits cookies pour {host}, mais pas \
             celui qui contient votre session.",
            "Supprimez les cookies de {host} et réessayez. Pour l’administrateur : le cookie de session est peut-être trop \
             grand pour le navigateur ou pour un proxy en amont ; moins de groupes le rendent plus petit.",
        ],
        Mismatch::Incomplete => [
            TITLE,
            "Vous venez de vous connecter plusieurs fois. Le navigateur ne renvoie qu’une partie de votre session pour \
             {host}.",
            "Supprimez les cookies de {host} et réessayez. Pour l’administrateur : un proxy en amont coupe peut-être les \
             longs en-têtes ; moins de groupes rendent la session plus petite.",
        ],
        Mismatch::Unreadable => [
            TITLE,
            "Vous venez de vous connecter plusieurs fois. Le navigateur envoie votre session pour {host}, mais elle ne peut \
             pas être lue ici.",
            "Supprimez les cookies de {host} et réessayez. Pour l’administrateur : toutes les passerelles derrière {host} \
             ont-elles les mêmes clés ?",
        ],
        Mismatch::OverAtOnce => [
            TITLE,
            "Vous venez de vous connecter plusieurs fois, et chaque session était terminée aussitôt commencée.",
            "Vous ne pouvez pas changer cela vous-même. Pour l’administrateur : comparez les horloges de la passerelle et \
             de {idp}, et vérifiez les limites des sessions.",
        ],
        Mismatch::EndedAtOnce => [
            TITLE,
            "Vous venez de vous connecter plusieurs fois, et chaque fois la connexion a compté comme antérieure à la fin de \
             votre session.",
            "Patientez une minute et réessayez. Pour l’administrateur : comparez les horloges de la passerelle et de {idp}.",
        ],
        Mismatch::CheckedAtOnce => [
            TITLE,
            "Il vient d’être demandé plusieurs fois à {idp} si votre session est encore valable, et chaque réponse était \
             aussitôt trop ancienne.",
            "Patientez une minute et réessayez. Pour l’administrateur : comparez les horloges de la passerelle et de {idp}.",
        ],
    }
}

pub(super) const fn label(of: Label) -> &'static str {
    match of {
        Label::SignInAgain => "Se reconnecter",
        Label::SignIn => "Se connecter",
        Label::SignOut => "Se déconnecter",
        Label::TryAgain => "Réessayer",
        Label::Continue => "Continuer",
        Label::StartPage => "Vers la page d’accueil",
        Label::SendNow => "L’envoyer maintenant",
        Label::Discard => "L’abandonner",
        Label::Reason => "Motif",
        Label::SignedInAs => "Connecté en tant que",
        Label::Address => "Adresse",
        Label::Technical => "Pour l’administrateur",
        Label::ProtectedBy => "Protégé par Portcullis",
    }
}
