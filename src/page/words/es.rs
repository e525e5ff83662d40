//! Spanish.

use super::Passage;
use crate::page::saying::{Label, Mismatch, Saying};

pub(super) const fn passage(of: Saying) -> Passage {
    match of {
        Saying::SignedOut => [
            "Ha cerrado la sesión",
            "Su sesión en este navegador ha terminado.",
            "Puede cerrar esta pestaña o volver a iniciar sesión.",
        ],
        Saying::SignOutAsked => ["¿Cerrar la sesión?", "Una página de otro sitio pide cerrar su sesión.", ""],
        Saying::SessionEnded => [
            "Su sesión ha finalizado",
            "Su organización ha finalizado esta sesión. Todo lo que estaba abierto en ella se ha detenido.",
            "Para continuar, vuelva a iniciar sesión. Un inicio de sesión anterior no cuenta: tendrá que demostrar de nuevo \
             quién es.",
        ],
        Saying::LoginNotFresh => [
            "Se necesita un nuevo inicio de sesión",
            "{idp} respondió con un inicio de sesión anterior al fin de su sesión. Ya no se puede usar.",
            "Inténtelo de nuevo e introduzca su contraseña cuando {idp} la pida. Si no la pide, cierre primero la sesión \
             allí. Si esta página vuelve a aparecer, avise a su administrador: {idp} no exige un nuevo inicio de sesión \
             aunque se le solicite.",
        ],
        Saying::OnHold => [
            "Su acceso está suspendido",
            "Su organización ha suspendido su acceso. Nada suyo continúa en {app} hasta que se levante la suspensión.",
            "Volver a iniciar sesión no sirve de nada. Consulte a su administrador o al servicio de asistencia.",
        ],
        Saying::Crowded => [
            "En este momento nadie puede iniciar sesión",
            "Se han finalizado tantas sesiones que no hay espacio para controlar otras nuevas. Quien ya ha iniciado sesión \
             puede continuar.",
            "Su cuenta está en orden. Inténtelo de nuevo en unos minutos; si esta página persiste, avise a su \
             administrador.",
        ],
        Saying::Blind => [
            "{app} está cerrado por el momento",
            "El servicio de inicio de sesión no indica en este momento qué sesiones han terminado; por eso no se admite a \
             nadie.",
            "Su cuenta está en orden. El acceso se reabrirá por sí solo; inténtelo de nuevo en unos minutos.",
        ],
        Saying::IdpUnreachable => [
            "Ahora no es posible iniciar sesión",
            "{idp} no responde.",
            "Su cuenta está en orden. Espere un momento e inténtelo de nuevo.",
        ],
        Saying::CannotCheck => [
            "Ahora no es posible comprobarlo",
            "El servicio de inicio de sesión no responde.",
            "Inténtelo de nuevo en un momento.",
        ],
        Saying::AppDown => [
            "{app} no responde",
            "Ha iniciado sesión, pero no se puede llegar a la aplicación.",
            "Espere un momento e inténtelo de nuevo.",
        ],
        Saying::Forbidden => [
            "No tiene acceso a {app}",
            "Ha iniciado sesión, pero no está autorizado a usar esta aplicación.",
            "Pida acceso a su responsable o inicie sesión con otro nombre.",
        ],
        Saying::BadRequest => [
            "No se ha entendido esta solicitud",
            "No es posible responder a lo que envió el navegador.",
            "Vuelva atrás y empiece de nuevo. Un marcador de una página de inicio de sesión solo sirve una vez.",
        ],
        Saying::TooManyRequests => [
            "Demasiadas solicitudes",
            "Se recibieron demasiadas solicitudes desde aquí en poco tiempo.",
            "Espere {seconds} segundos e inténtelo de nuevo.",
        ],
        Saying::TooLarge => ["Esto es demasiado grande", "{app} acepta como máximo {bytes} bytes a la vez.", ""],
        Saying::NotFound => [
            "Aquí no hay nada",
            "No se conoce ninguna aplicación en esta dirección.",
            "Compruebe que la dirección esté bien escrita.",
        ],
        Saying::SignedIn => ["Ha iniciado sesión", "Volverá enseguida a donde estaba.", ""],
        Saying::AnswerUnasked => [
            "No ha iniciado sesión",
            "La respuesta del servicio de inicio de sesión no corresponde a ninguna petición.",
            "Inténtelo de nuevo o consulte a los responsables de este servicio.",
        ],
        Saying::IdpFault => [
            "No ha iniciado sesión",
            "El servicio de inicio de sesión tiene una avería en este momento.",
            "Inténtelo de nuevo o consulte a los responsables de este servicio.",
        ],
        Saying::IdpRefused => [
            "No ha iniciado sesión",
            "El servicio de inicio de sesión no le ha dado acceso.",
            "Inténtelo de nuevo o consulte a los responsables de este servicio.",
        ],
        Saying::AnswerUntrusted => [
            "No ha iniciado sesión",
            "El servicio de inicio de sesión dio una respuesta en la que no se puede confiar.",
            "Inténtelo de nuevo. Si no cambia, los responsables de este servicio encontrarán el motivo en su registro.",
        ],
        Saying::TooManyGroups => [
            "No es posible iniciar su sesión",
            "Su cuenta tiene más grupos de los que caben en una sesión.",
            "Pida a los responsables de este servicio que envíen menos grupos.",
        ],
        Saying::NotUnderWay => [
            "Este inicio de sesión ya no está en curso",
            "Terminó en otra pestaña, tardó demasiado o su navegador no guarda cookies para esta dirección.",
            "Vuelva a iniciar sesión. Si esta página vuelve a aparecer, compruebe que aquí se permiten las cookies.",
        ],
        Saying::Bounces(mismatch) => bounces(mismatch),
        Saying::FormKept => [
            "Envió un formulario antes de iniciar sesión",
            "Era para {app} y no ha llegado. Se ha guardado en este navegador.",
            "¿Desea enviarlo ahora? Se enviará una sola vez.",
        ],
        Saying::FormOfAnother => [
            "El formulario no se ha enviado",
            "En este navegador había guardado un formulario que rellenó otra persona. Se ha eliminado, y {app} no lo ha \
             recibido.",
            "Si fue usted con otro nombre, rellénelo de nuevo.",
        ],
        Saying::FormGone => [
            "El formulario ya no está aquí",
            "Un formulario se guarda un cuarto de hora y se muestra una sola vez. {app} no lo ha recibido de nuevo desde \
             aquí.",
            "Mire en la aplicación si está; si no, rellénelo de nuevo.",
        ],
    }
}

const fn bounces(mismatch: Mismatch) -> Passage {
    const TITLE: &str = "El inicio de sesión no se mantiene";
    match mismatch {
        Mismatch::NoCookies => [
            TITLE,
            "El navegador no devolvió la cookie que se creó para {host} al comenzar este inicio de sesión.",
            "Permita las cookies para {host} e inicie sesión desde {url}, no desde una dirección copiada o guardada. Para el \
             administrador: ¿llegan todos a la aplicación por {url}, y ningún proxy delante quita las cookies?",
        ],
        Mismatch::PlainHttp => [
            TITLE,
            "La aplicación está configurada para usarse en {url}, sin cifrado. Los navegadores no guardan allí ninguna \
             sesión.",
            "Usted no puede cambiarlo. Para el administrador: haga que se llegue a {host} por https y escriba esa dirección \
             como url de la aplicación.",
        ],
        Mismatch::SessionNotSent => [
            TITLE,
            "Acaba de iniciar sesión varias veces. El navegador devuelve cookies pequeñas para {host}, pero no la que \
             contiene su sesión.",
            "Borre las cookies de {host} e inténtelo de nuevo. Para el administrador: la cookie de sesión puede ser demasiado \
             grande para el navegador o para un proxy delante; con menos grupos es más pequeña.",
        ],
        Mismatch::Incomplete => [
            TITLE,
            "Acaba de iniciar sesión varias veces. El navegador devuelve solo una parte de su sesión para {host}.",
            "Borre las cookies de {host} e inténtelo de nuevo. Para el administrador: puede que un proxy delante corte las \
             cabeceras largas; con menos grupos la sesión es más pequeña.",
        ],
        Mismatch::Unreadable => [
            TITLE,
            "Acaba de iniciar sesión varias veces. El navegador envía su sesión para {host}, pero aquí no se puede leer.",
            "Borre las cookies de {host} e inténtelo de nuevo. Para el administrador: ¿tienen las mismas claves todas las \
             pasarelas detrás de {host}?",
        ],
        Mismatch::OverAtOnce => [
            TITLE,
            "Acaba de iniciar sesión varias veces, y cada sesión terminó nada más comenzar.",
            "Usted no puede cambiarlo. Para el administrador: compare los relojes de la pasarela y de {idp}, y revise los \
             límites de las sesiones.",
        ],
        Mismatch::EndedAtOnce => [
            TITLE,
            "Acaba de iniciar sesión varias veces, y cada vez el inicio contó como anterior al fin de su sesión.",
            "Espere un minuto e inténtelo de nuevo. Para el administrador: compare los relojes de la pasarela y de {idp}.",
        ],
        Mismatch::CheckedAtOnce => [
            TITLE,
            "Se acaba de preguntar varias veces a {idp} si su sesión sigue siendo válida, y cada respuesta era demasiado \
             antigua al instante.",
            "Espere un minuto e inténtelo de nuevo. Para el administrador: compare los relojes de la pasarela y de {idp}.",
        ],
    }
}

pub(super) const fn label(of: Label) -> &'static str {
    match of {
        Label::SignInAgain => "Volver a iniciar sesión",
        Label::SignIn => "Iniciar sesión",
        Label::SignOut => "Cerrar la sesión",
        Label::TryAgain => "Intentar de nuevo",
        Label::Continue => "Continuar",
        Label::StartPage => "A la página de inicio",
        Label::SendNow => "Enviarlo ahora",
        Label::Discard => "Descartarlo",
        Label::Reason => "Motivo",
        Label::SignedInAs => "Sesión iniciada como",
        Label::Address => "Dirección",
        Label::Technical => "Para el administrador",
        Label::ProtectedBy => "Protegido por Portcullis",
    }
}
