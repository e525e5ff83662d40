//! German.

use super::Passage;
use crate::page::saying::{Label, Mismatch, Saying};

pub(super) const fn passage(of: Saying) -> Passage {
    match of {
        Saying::SignedOut => [
            "Sie sind abgemeldet",
            "Ihre Sitzung in diesem Browser ist beendet.",
            "Sie können diesen Tab schließen oder sich neu anmelden.",
        ],
        Saying::SignOutAsked => ["Abmelden?", "Eine Seite einer anderen Website möchte Sie abmelden.", ""],
        Saying::SessionEnded => [
            "Ihre Sitzung wurde beendet",
            "Ihre Organisation hat diese Sitzung beendet. Alles, was darin offen war, wurde angehalten.",
            "Melden Sie sich neu an, um weiterzuarbeiten. Eine frühere Anmeldung zählt nicht: Sie müssen sich noch \
             einmal ausweisen.",
        ],
        Saying::LoginNotFresh => [
            "Eine neue Anmeldung ist nötig",
            "{idp} hat mit einer Anmeldung geantwortet, die älter ist als das Ende Ihrer Sitzung. Sie gilt nicht mehr.",
            "Versuchen Sie es noch einmal und geben Sie Ihr Passwort ein, wenn {idp} danach fragt. Fragt es nicht, \
             melden Sie sich dort zuerst ab. Kommt diese Seite wieder, sagen Sie Ihrer Administration: {idp} verlangt \
             keine neue Anmeldung, obwohl es darum gebeten wird.",
        ],
        Saying::OnHold => [
            "Ihr Zugang ist gesperrt",
            "Ihre Organisation hat Ihren Zugang vorübergehend gesperrt. In {app} geht für Sie nichts weiter, bis die \
             Sperre aufgehoben ist.",
            "Eine neue Anmeldung hilft nicht. Wenden Sie sich an Ihre Administration oder den Helpdesk.",
        ],
        Saying::Crowded => [
            "Zurzeit kann sich niemand anmelden",
            "Es wurden so viele Sitzungen beendet, dass für neue kein Platz ist. Wer angemeldet ist, kann \
             weiterarbeiten.",
            "Mit Ihrem Konto ist alles in Ordnung. Versuchen Sie es in einigen Minuten noch einmal; bleibt diese Seite, \
             sagen Sie es Ihrer Administration.",
        ],
        Saying::Blind => [
            "{app} ist zurzeit geschlossen",
            "Der Anmeldedienst teilt zurzeit nicht mit, wessen Sitzung beendet ist. Deshalb wird niemand eingelassen.",
            "Mit Ihrem Konto ist alles in Ordnung. Der Zugang öffnet sich von selbst wieder; versuchen Sie es in einigen \
             Minuten noch einmal.",
        ],
        Saying::IdpUnreachable => [
            "Die Anmeldung ist gerade nicht möglich",
            "{idp} antwortet nicht.",
            "Mit Ihrem Konto ist alles in Ordnung. Warten Sie einen Moment und versuchen Sie es noch einmal.",
        ],
        Saying::CannotCheck => [
            "Das lässt sich zurzeit nicht prüfen",
            "Der Anmeldedienst antwortet nicht.",
            "Versuchen Sie es gleich noch einmal.",
        ],
        Saying::AppDown => [
            "{app} antwortet nicht",
            "Sie sind angemeldet, aber die Anwendung selbst ist nicht erreichbar.",
            "Warten Sie einen Moment und versuchen Sie es noch einmal.",
        ],
        Saying::Forbidden => [
            "Sie haben keinen Zugang zu {app}",
            "Sie sind angemeldet, dürfen diese Anwendung aber nicht benutzen.",
            "Bitten Sie die Verantwortlichen um Zugang, oder melden Sie sich unter einem anderen Namen an.",
        ],
        Saying::BadRequest => [
            "Diese Anfrage war nicht verständlich",
            "Was der Browser gesendet hat, lässt sich nicht beantworten.",
            "Gehen Sie zurück und beginnen Sie von vorn. Ein Lesezeichen auf eine Anmeldeseite gilt nur einmal.",
        ],
        Saying::TooManyRequests => [
            "Zu viele Anfragen",
            "Von hier kamen in kurzer Zeit zu viele Anfragen.",
            "Warten Sie {seconds} Sekunden und versuchen Sie es dann noch einmal.",
        ],
        Saying::TooLarge => ["Das ist zu groß", "{app} nimmt höchstens {bytes} Byte auf einmal an.", ""],
        Saying::NotFound => [
            "Hier ist nichts",
            "Unter dieser Adresse ist keine Anwendung bekannt.",
            "Prüfen Sie, ob die Adresse richtig geschrieben ist.",
        ],
        Saying::SignedIn => ["Sie sind angemeldet", "Es geht gleich weiter, wo Sie waren.", ""],
        Saying::AnswerUnasked => [
            "Sie sind nicht angemeldet",
            "Der Anmeldedienst hat eine Antwort gegeben, nach der nicht gefragt war.",
            "Versuchen Sie es noch einmal, oder wenden Sie sich an die Betreiber dieses Dienstes.",
        ],
        Saying::IdpFault => [
            "Sie sind nicht angemeldet",
            "Der Anmeldedienst hat zurzeit eine Störung.",
            "Versuchen Sie es noch einmal, oder wenden Sie sich an die Betreiber dieses Dienstes.",
        ],
        Saying::IdpRefused => [
            "Sie sind nicht angemeldet",
            "Der Anmeldedienst hat Sie nicht angemeldet.",
            "Versuchen Sie es noch einmal, oder wenden Sie sich an die Betreiber dieses Dienstes.",
        ],
        Saying::AnswerUntrusted => [
            "Sie sind nicht angemeldet",
            "Der Anmeldedienst hat eine Antwort gegeben, der nicht zu trauen ist.",
            "Versuchen Sie es noch einmal. Bleibt es dabei, finden die Betreiber dieses Dienstes den Grund in dessen Log.",
        ],
        Saying::TooManyGroups => [
            "Sie können nicht angemeldet werden",
            "Ihr Konto hat mehr Gruppen, als eine Sitzung tragen kann.",
            "Bitten Sie die Betreiber dieses Dienstes, weniger Gruppen zu senden.",
        ],
        Saying::NotUnderWay => [
            "Diese Anmeldung läuft nicht mehr",
            "Sie wurde in einem anderen Tab abgeschlossen, hat zu lange gedauert, oder Ihr Browser behält für diese \
             Adresse keine Cookies.",
            "Melden Sie sich neu an. Kommt diese Seite wieder, prüfen Sie, ob Cookies hier erlaubt sind.",
        ],
        Saying::Bounces(mismatch) => bounces(mismatch),
        Saying::FormKept => [
            "Sie haben vor der Anmeldung ein Formular abgeschickt",
            "Es war für {app} und ist dort nicht angekommen. Es wurde in diesem Browser aufgehoben.",
            "Soll es jetzt gesendet werden? Es wird einmal gesendet.",
        ],
        Saying::FormOfAnother => [
            "Das Formular wurde nicht gesendet",
            "In diesem Browser war ein Formular aufgehoben, das jemand anderes ausgefüllt hat. Es ist gelöscht, und {app} \
             hat es nicht bekommen.",
            "Falls Sie es waren, unter einem anderen Namen: Füllen Sie es neu aus.",
        ],
        Saying::FormGone => [
            "Das Formular ist nicht mehr da",
            "Ein Formular wird eine Viertelstunde aufgehoben und einmal gezeigt. {app} hat es von hier nicht noch einmal \
             bekommen.",
            "Sehen Sie in der Anwendung nach, ob es da ist; falls nicht, füllen Sie es neu aus.",
        ],
    }
}

const fn bounces(mismatch: Mismatch) -> Passage {
    const TITLE: &str = "Die Anmeldung hält nicht";
    match mismatch {
        Mismatch::NoCookies => [
            TITLE,
            "Der Browser hat das Cookie nicht zurückgesendet, das zu Beginn dieser Anmeldung für {host} gesetzt wurde.",
            "Erlauben Sie Cookies für {host}, und melden Sie sich über {url} selbst an, nicht über eine kopierte oder \
             gespeicherte Adresse. Für die Administration: Erreichen alle die Anwendung unter {url}, und entfernt kein \
             Proxy davor Cookies?",
        ],
        Mismatch::PlainHttp => [
            TITLE,
            "Die Anwendung ist so eingerichtet, dass man sie unverschlüsselt unter {url} erreicht. Dort behalten Browser \
             keine Anmeldung.",
            "Sie selbst können das nicht ändern. Für die Administration: {host} muss über https erreichbar sein, und diese \
             Adresse gehört in url der Anwendung.",
        ],
        Mismatch::SessionNotSent => [
            TITLE,
            "Sie haben sich eben mehrmals angemeldet. Der Browser sendet kleine Cookies für {host} zurück, aber nicht das \
             mit Ihrer Sitzung.",
            "Löschen Sie die Cookies von {host} und versuchen Sie es noch einmal. Für die Administration: Das \
             Sitzungscookie ist vielleicht zu groß für den Browser oder einen Proxy davor; weniger Gruppen machen es \
             kleiner.",
        ],
        Mismatch::Incomplete => [
            TITLE,
            "Sie haben sich eben mehrmals angemeldet. Der Browser sendet nur einen Teil Ihrer Sitzung für {host} zurück.",
            "Löschen Sie die Cookies von {host} und versuchen Sie es noch einmal. Für die Administration: Vielleicht kürzt \
             ein Proxy davor lange Header; weniger Gruppen machen die Sitzung kleiner.",
        ],
        Mismatch::Unreadable => [
            TITLE,
            "Sie haben sich eben mehrmals angemeldet. Der Browser sendet Ihre Sitzung für {host}, aber sie ist hier nicht \
             lesbar.",
            "Löschen Sie die Cookies von {host} und versuchen Sie es noch einmal. Für die Administration: Haben alle \
             Gateways hinter {host} dieselben Schlüssel?",
        ],
        Mismatch::OverAtOnce => [
            TITLE,
            "Sie haben sich eben mehrmals angemeldet, und jede Sitzung war zu Ende, sobald sie begann.",
            "Sie selbst können das nicht ändern. Für die Administration: Vergleichen Sie die Uhren des Gateways und von \
             {idp}, und prüfen Sie die Grenzen der Sitzungen.",
        ],
        Mismatch::EndedAtOnce => [
            TITLE,
            "Sie haben sich eben mehrmals angemeldet, und jedes Mal galt die Anmeldung als älter als das Ende Ihrer \
             Sitzung.",
            "Warten Sie eine Minute und versuchen Sie es noch einmal. Für die Administration: Vergleichen Sie die Uhren \
             des Gateways und von {idp}.",
        ],
        Mismatch::CheckedAtOnce => [
            TITLE,
            "{idp} wurde eben mehrmals gefragt, ob Ihre Sitzung noch gilt, und jede Antwort war sofort zu alt.",
            "Warten Sie eine Minute und versuchen Sie es noch einmal. Für die Administration: Vergleichen Sie die Uhren \
             des Gateways und von {idp}.",
        ],
    }
}

pub(super) const fn label(of: Label) -> &'static str {
    match of {
        Label::SignInAgain => "Neu anmelden",
        Label::SignIn => "Anmelden",
        Label::SignOut => "Abmelden",
        Label::TryAgain => "Noch einmal versuchen",
        Label::Continue => "Weiter",
        Label::StartPage => "Zur Startseite",
        Label::SendNow => "Jetzt senden",
        Label::Discard => "Verwerfen",
        Label::Reason => "Grund",
        Label::SignedInAs => "Angemeldet als",
        Label::Address => "Adresse",
        Label::Technical => "Für die Administration",
        Label::ProtectedBy => "Geschützt durch Portcullis",
    }
}
